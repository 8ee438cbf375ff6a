import 'reflect-metadata';
import { AsyncLocalStorage } from 'node:async_hooks';
import { Controller, Get, Logger, Query, Req } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, vi, type MockInstance } from 'vitest';
import { CachePage, CacheResponse, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { ask } from './wire/wire.client.js';

// A page that is merely never stored looks like any other: the log says why.

const storage = new AsyncLocalStorage<{ tenant: string }>();

@Controller()
class Unkeyed {
  @Get('property')
  @CachePage('1m')
  property(@Req() request: { tenant: string }): object {
    return { tenant: request.tenant };
  }

  @Get('context')
  @CachePage('1m')
  context(): object {
    return { tenant: storage.getStore()?.tenant };
  }

  @Get('value')
  @CacheResponse({ ttl: '1m' })
  value(@Req() request: { tenant: string }): object {
    return { tenant: request.tenant };
  }

  @Get('user')
  @CachePage('1m')
  user(@Req() request: { user?: object }): object {
    return { user: request.user };
  }

  @Get('keyed')
  @CachePage('1m')
  keyed(@Query('q') q: string): object {
    return { q };
  }
}

/** Middleware fills whatever handlers could read. */
async function start(platform: Platform): Promise<string> {
  const imports = [TieredCacheModule.forRoot()];
  const { url } = await serve(platform, { imports, controllers: [Unkeyed] }, (app) => {
    app.use((request: { tenant?: string }, _response: unknown, next: () => void) => {
      request.tenant = 'one';
      storage.run({ tenant: 'one' }, next);
    });
    if (platform === 'fastify')
      (app.getHttpAdapter().getInstance() as Hooked).addHook('preHandler', (request, _reply, done) => {
        request.tenant = request.raw.tenant;
        done();
      });
  });
  return url;
}

interface Hooked {
  addHook(
    name: 'preHandler',
    hook: (
      request: { tenant?: string | undefined; raw: { tenant?: string } },
      reply: unknown,
      done: () => void,
    ) => void,
  ): unknown;
}

let warned: MockInstance<Logger['warn']>;
beforeEach(() => void (warned = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined)));
afterEach(async () => {
  warned.mockRestore();
  await closeAll();
});

describe.each<Platform>(['express', 'fastify'])('what is never stored, on %s', (platform) => {
  it.each([
    ['property', 'Unkeyed.property', '"request:tenant"'],
    ['context', 'Unkeyed.context', 'ignoreContexts: [storage]'],
    ['value', 'Unkeyed.value', '"request:tenant"'],
  ])('is told once: %s', async (path, handler, input) => {
    const url = await start(platform);
    for (let i = 0; i < 3; i++) expect((await ask(`${url}/${path}`)).body.toString()).toContain('one');
    expect(warned).toHaveBeenCalledTimes(1);
    const [text] = warned.mock.calls[0] as [string];
    expect(text).toContain(handler);
    expect(text).toContain(input);
    // Names, no values.
    expect(text).not.toContain('one');
  });

  it.each(['user', 'keyed?q=1'])('is no news: %s', async (path) => {
    const url = await start(platform);
    await ask(`${url}/${path}`);
    expect(warned).not.toHaveBeenCalled();
  });
});
