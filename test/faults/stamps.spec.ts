import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { CacheEngine } from '../../src/core/cache-engine.js';
import type { CacheService } from '../../src/core/cache.service.js';
import { FaultProxy } from '../servers/fault.proxy.js';
import { RedisServer } from '../servers/redis.server.js';
import { heard, openEngine, until } from './subject.js';

const MAX_STALE_MS = 500;

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());

let here: CacheService;
let there: CacheService;
let engine: CacheEngine;
/** Between `here` and the store. */
let proxy: FaultProxy;

/** Both remember `old`. */
beforeEach(async () => {
  await server.command('FLUSHALL');
  proxy = await FaultProxy.start(server.port);
  onTestFinished(() => proxy.stop());
  const memory = { maxEntries: 100, maxBytes: 2 ** 20, maxStaleWithoutBusMs: MAX_STALE_MS };
  engine = await heard(openEngine(`redis://127.0.0.1:${proxy.port}`, { memory }));
  [here, there] = [engine, await heard(openEngine(server.url))].map((each) => each.namespace('default')) as [
    CacheService,
    CacheService,
  ];
  await there.set('k', 'old', { ttl: '1h' });
  for (const cache of [here, there]) await until(async () => (await cache.get('k')).tier === 'memory', 2000);
});

async function back(): Promise<void> {
  await proxy.heal();
  await heard(engine);
  await until(() => !engine.inspect().isStoreDown && engine.inspect().pending.tokens === 0, 5000);
}

describe('a stamp that changes while a process is cut off', () => {
  it.each(['cut', 'blackhole'] as const)(
    '(%s) is not outlived there by more than the limit, and by nothing when it is back',
    async (fault) => {
      proxy[fault]();
      await until(() => !engine.inspect().isHeard, 3000);
      const lostAt = performance.now();
      await there.setStamp('2');
      let servedAt = 0;
      await until(() => {
        const at = performance.now();
        if (here.peek('k') !== undefined) servedAt = at;
        return at - lostAt > 2 * MAX_STALE_MS;
      }, 3000);
      expect(servedAt - lostAt).toBeLessThanOrEqual(MAX_STALE_MS);
      await back();
      expect(here.peek('k')).toBeUndefined();
      expect((await here.get('k')).isFound).toBe(false);
    },
  );
});

describe('a stamp that changes while the store is down', () => {
  it('with a grace: is sent with what is left of it', async () => {
    proxy.cut();
    await here.setStamp('2', { grace: 3000 });
    const ended = performance.now() + 3050; // the store's time is known to half a round trip
    expect(here.peek('k')).toBeUndefined();
    await back();
    for (const cache of [here, there]) {
      await until(async () => (await cache.get('k')).isStale, 1000);
      expect((await cache.get('k')).value).toBe('old');
    }
    await until(() => performance.now() > ended, 5000);
    for (const cache of [here, there]) expect((await cache.get('k')).isFound).toBe(false);
  });

  it('more than once: the last one holds, however the calls overlap', async () => {
    proxy.cut();
    await here.setStamp('2');
    await Promise.all([here.setStamp('3'), here.setStamp('4')]);
    expect(engine.inspect().pending).toEqual({ keys: 0, tokens: 1 });
    await back();
    expect(await here.getOrSet('k', () => 'new', { ttl: '1h' })).toBe('new');
    await there.setStamp('4');
    expect((await there.get('k')).getValueOrDefault(undefined)).toBe('new');
    await there.setStamp('3');
    expect((await there.get('k')).isFound).toBe(false);
  });

  it('is waited for alone where the store refuses it: what it is about is not believed, and the rest is', async () => {
    const other = engine.addNamespace({ name: 'other' });
    await other.set('k', 'value');
    await server.command('DEBUG', 'POPULATE', 2000, 'filler', 1000);
    await server.config('maxmemory-policy', 'noeviction');
    await server.config('maxmemory', '1mb');
    onTestFinished(() => server.config('maxmemory', 0));
    await here.setStamp('2');
    expect(engine.inspect().pending).toEqual({ keys: 0, tokens: 1 });
    expect((await here.get('k')).isFound).toBe(false);
    expect((await other.get('k')).value).toBe('value');
    await server.config('maxmemory', 0);
    await back();
    await until(async () => !(await there.get('k')).isFound, 1000);
  });

  it('leaves a loader nothing to confirm: what is remembered may be from under a former stamp', async () => {
    await there.setStamp('2', { grace: '1m' });
    await until(async () => (await here.get('k')).isStale, 1000);
    proxy.cut();
    await until(() => !engine.inspect().isHeard, 1000);
    const seen: unknown[] = [];
    expect(await here.getOrSet('k', ({ stale }) => (seen.push(stale), 'new'))).toBe('new');
    expect(seen).toEqual([undefined]);
  });
});

it('a restart of the server, whose run is part of every token, leaves no grace either', async () => {
  await there.setStamp('2', { grace: '1m' });
  await until(async () => (await here.get('k')).isStale, 1000);
  await server.command('SAVE');
  await server.restart();
  await heard(engine);
  await until(async () => !(await here.get('k')).isFound, 5000);
});
