import 'reflect-metadata';
import { Controller, Post } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  CacheLockService,
  Idempotent,
  optionsFromEnvironment,
  TieredCacheModule,
  type TieredCacheOptions,
} from '../../src/index.js';
import { memcachedLocks } from '../../src/stores/memcached/index.js';
import { failure } from '../locks/subject.js';
import { freePort } from '../servers/free.port.js';
import { MemcachedServer } from '../servers/memcached.server.js';
import { boot, bootError, closeAll, serve } from './boot.js';

let server: MemcachedServer;
beforeAll(async () => {
  server = await MemcachedServer.start();
});
afterAll(() => server.stop());
beforeEach(() => server.command('flush_all'));
afterEach(closeAll);

const root = (options: TieredCacheOptions) => TieredCacheModule.forRoot(options);

/** As an application adds to what it reads from its environment. */
function accepting(options: TieredCacheOptions): TieredCacheOptions {
  return { ...options, locks: { ...options.locks, acceptLossy: true } };
}

describe.each<[how: string, options: (url: string) => TieredCacheOptions, prefix: string]>([
  ['by URL', (url) => ({ locks: { store: url }, prefix: 'shop' }), 'shop'],
  ['by URL and prefix', (url) => ({ locks: { store: url, prefix: 'locks' }, prefix: 'shop' }), 'locks'],
  ['by a store', (url) => ({ locks: { store: () => memcachedLocks({ url }) } }), 'tc'],
  ['by the environment', (url) => optionsFromEnvironment({ CACHE_LOCK_URL: url, CACHE_KEY_PREFIX: 'shop' }), 'shop'],
])('locks in Memcached, %s', (_how, options, prefix) => {
  it('stop the boot', async () => {
    const error = await bootError([root(options(server.url))]);
    expect(error).toMatchObject({ code: 'lossy_lock_store' });
    expect(error.message).toContain('locks.acceptLossy');
    expect(error.message).toContain('CACHE_LOCK_URL');
  });

  it('exclude processes from each other where they are accepted, eviction and all', async () => {
    const apps = [
      await boot([root(accepting(options(server.url)))]),
      await boot([root(accepting(options(server.url)))]),
    ];
    const [one, two] = apps.map((app) => app.get(CacheLockService)) as [CacheLockService, CacheLockService];
    await using held = await one.acquire(['policy', 1]);
    expect(await two.tryAcquire(['policy', 1])).toBeUndefined();
    expect(await server.command(`mg ${prefix}:lk:{/policy/1} v`)).toEqual([`VA ${held.owner.length}`, held.owner]);
  });
});

it('stop the boot without being asked for anything', async () => {
  const url = `memcached://127.0.0.1:${await freePort()}`;
  expect(await bootError([root({ locks: { store: url } })])).toMatchObject({ code: 'lossy_lock_store' });
});

it('that are down do not stop it, where they are accepted, and nobody gets a lock', async () => {
  const store = `memcached://127.0.0.1:${await freePort()}`;
  const app = await boot([root({ locks: { store, acceptLossy: true } })]);
  const locking = app.get(CacheLockService).run('k', () => expect.fail('it ran without a lock'));
  expect(await failure(locking)).toMatchObject({ code: 'lock_store_unavailable' });
});

it('acceptLossy is for nothing but that: a Memcached is no cache yet', async () => {
  const error = await bootError([root({ remote: server.url, locks: { acceptLossy: true } })]);
  expect(error).toMatchObject({ code: 'unknown_store' });
});

it.each([
  [{ store: 'memcached://u:hunter2@:x' }, 'locks.store must be a valid URL such as memcached://host:11211'],
  [{ store: 'memcached://u:hunter2@h/1' }, 'Memcached has no databases'],
  [{ store: 'memcache://u:hunter2@h' }, 'locks.store must begin with redis://, rediss://, memcached://'],
  [{ store: 'memcached://h', prefix: 'p'.repeat(50) }, 'prefix must be 1 to 45'],
  [{ store: 'memcached://h', acceptLossy: 1 }, 'locks.acceptLossy must be'],
])('refuses %o', async (locks, message) => {
  const error = await bootError([root({ locks } as never)]);
  expect(error.message).toContain(message);
  expect(error.message).not.toContain('hunter2');
});

@Controller()
class Payments {
  @Post()
  @Idempotent({ scope: () => 'everybody' })
  pay(): string {
    return 'paid';
  }
}

it('@Idempotent stops the boot: what was answered would be forgotten', async () => {
  const locks = { store: server.url, acceptLossy: true };
  const error = await failure(serve('express', { imports: [root({ locks })], controllers: [Payments] }));
  expect(error).toMatchObject({ code: 'unsupported_lock_store' });
  expect(error.message).toContain('memcached');
});
