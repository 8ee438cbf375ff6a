import 'reflect-metadata';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Controller, Get, Logger } from '@nestjs/common';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { CacheService, MemoryStore, TieredCacheModule, type CacheStore } from '../../src/index.js';
import { compiledEntry } from '../servers/compiled.entry.js';
import { boot, closeAll, serve, type Platform } from './boot.js';

afterEach(closeAll);

const events: string[] = [];
let entered: () => void = () => undefined;
let finish: () => void = () => undefined;

@Controller()
class Slow {
  constructor(private readonly cache: CacheService) {}

  @Get()
  async slow(): Promise<object> {
    const first = await this.cache.getOrSet('first', async () => {
      entered();
      await new Promise<void>((resolve) => (finish = resolve));
      return 'first';
    });
    // The store is still open while the request runs.
    const isStored = await this.cache.set('second', 2);
    events.push('served');
    return { first, isStored };
  }
}

describe.each<Platform>(['express', 'fastify'])('shutdown on %s', (platform) => {
  it('serves the requests that are under way, then closes the store', async () => {
    events.length = 0;
    const store = new MemoryStore();
    const close = store.close.bind(store);
    store.close = async () => {
      events.push('store closed');
      await close();
    };
    const { app, url } = await serve(platform, {
      imports: [TieredCacheModule.forRoot({ remote: store })],
      controllers: [Slow],
    });
    const isRunning = new Promise<void>((resolve) => (entered = resolve));
    const answer = fetch(url, { headers: { connection: 'close' } }).then((response) => response.json());
    await isRunning;
    const closing = app.close();
    finish();
    expect(await answer).toEqual({ first: 'first', isStored: true });
    await closing;
    expect(events).toEqual(['served', 'store closed']);
  });
});

it('opens the store once and boots although it never answers', async () => {
  let opened = 0;
  const never = (): Promise<never> => new Promise(() => undefined);
  const hanging = Object.assign(Object.create(new MemoryStore()) as CacheStore, {
    open: () => void opened++,
    read: never,
    acquire: never,
    tokens: never,
    now: never,
    close: async () => undefined,
  });
  const app = await boot([TieredCacheModule.forRoot({ remote: hanging, deadline: 20 })]);
  expect(opened).toBe(1);
  expect(await app.get(CacheService).getOrSet('k', () => 'loaded')).toBe('loaded');
});

it('warns, in numbers, of invalidations that never reached the store', async () => {
  const warn = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  onTestFinished(() => warn.mockRestore());
  const down = new MemoryStore();
  down.remove = () => Promise.reject(new Error('down'));
  down.rotate = () => Promise.reject(new Error('down'));
  const app = await boot([TieredCacheModule.forRoot({ remote: down })]);
  const cache = app.get(CacheService);
  await cache.deleteMany(['a secret', 'another']);
  await cache.invalidateTags(['a secret tag']);
  await app.close();
  const told = warn.mock.calls.map(([text]) => String(text)).filter((text) => text.includes('never reached'));
  expect(told).toEqual([expect.stringContaining('2 keys and 1 token ')]);
  expect(told[0]).not.toContain('secret');
});

it('lets the process end by itself after app.close()', async () => {
  const entry = await compiledEntry();
  const script = `
    import 'reflect-metadata';
    import { Module } from '@nestjs/common';
    import { NestFactory } from '@nestjs/core';
    import { CacheService, TieredCacheModule, runInCacheScope } from ${JSON.stringify(entry)};
    class App {}
    Module({ imports: [TieredCacheModule.forRoot()] })(App);
    const app = await NestFactory.create(App, { logger: ['error'] });
    await app.listen(0, '127.0.0.1');
    const cache = app.get(CacheService);
    await runInCacheScope(() => cache.getOrSet('k', () => 1, { ttl: '1h' }));
    await app.close();
    console.log('closed');
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    timeout: 20_000,
  });
  expect(stdout.trim()).toBe('closed');
});
