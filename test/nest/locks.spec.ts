import 'reflect-metadata';
import { Controller, Get, Logger, type DynamicModule } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  CacheLockService,
  CacheService,
  MemoryLockStore,
  MemoryStore,
  optionsFromEnvironment,
  RequestCacheService,
  runInCacheScope,
  TieredCacheModule,
  type TieredCacheOptions,
} from '../../src/index.js';
import { redis, redisLocks } from '../../src/stores/redis/index.js';
import { failure, gate } from '../locks/subject.js';
import { until } from '../faults/subject.js';
import { freePort } from '../servers/free.port.js';
import { RedisServer } from '../servers/redis.server.js';
import { boot, bootError, closeAll, serve, type Platform } from './boot.js';

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());
beforeEach(() => server.command('FLUSHALL'));
afterEach(closeAll);

const root = (options: TieredCacheOptions = {}): DynamicModule => TieredCacheModule.forRoot(options);

function warnings(): string[] {
  const seen: string[] = [];
  const spy = vi
    .spyOn(Logger.prototype, 'warn')
    .mockImplementation((message: unknown) => void seen.push(String(message)));
  onTestFinished(() => spy.mockRestore());
  return seen;
}

async function pair(options: TieredCacheOptions, other = options): Promise<[CacheLockService, CacheLockService]> {
  const apps = [await boot([root(options)]), await boot([root(other)])];
  return apps.map((app) => app.get(CacheLockService)) as [CacheLockService, CacheLockService];
}

describe('where locks are kept', () => {
  it('in process by default', async () => {
    const [one, two] = await pair({});
    await using _held = await one.acquire('k');
    expect(await one.tryAcquire('k')).toBeUndefined();
    expect(await two.run('k', () => 'another process')).toBe('another process');
  });

  it.each([
    ['by URL', (url: string): TieredCacheOptions => ({ remote: url, prefix: 'shop' }), 'shop'],
    ['by a store', (url: string): TieredCacheOptions => ({ remote: redis({ url }) }), 'tc'],
    [
      'by a URL of their own',
      (url: string): TieredCacheOptions => ({ locks: { store: url, prefix: 'locks' }, prefix: 'shop' }),
      'locks',
    ],
    [
      'by a store of their own',
      (url: string): TieredCacheOptions => ({ locks: { store: () => redisLocks({ url }) } }),
      'tc',
    ],
    ['by the environment', (url: string): TieredCacheOptions => optionsFromEnvironment({ CACHE_LOCK_URL: url }), 'tc'],
  ])('on the same Redis as the cache, or on another one, %s', async (_how, options, prefix) => {
    const [one, two] = await pair(options(server.url), options(server.url));
    await using held = await one.acquire(['policy', 1]);
    expect(await two.tryAcquire(['policy', 1])).toBeUndefined();
    expect(await server.command('GET', `${prefix}:lk:{/policy/1}`)).toBe(`${held.owner}|${held.fencingToken}`);
  });

  it('opens no connection as long as nobody locks', async () => {
    const app = await boot([root({ remote: server.url, requestTier: false })]);
    await app.get(CacheService).set('k', 1);
    const clients = async (): Promise<number> =>
      String(await server.command('CLIENT', 'LIST', 'TYPE', 'normal'))
        .trim()
        .split('\n').length;
    const before = await clients();
    await app.get(CacheLockService).run('k', () => 1);
    expect(await clients()).toBe(before + 1);
  });

  it('takes its defaults from the options', async () => {
    const [locks] = await pair({ locks: { lease: '2s', wait: 20 } });
    await using lease = await locks.acquire('k');
    expect(lease.remainingMs).toBeGreaterThan(1500);
    expect(lease.remainingMs).toBeLessThanOrEqual(2000);
    const began = performance.now();
    expect(await failure(locks.acquire('k'))).toMatchObject({ code: 'resource_locked' });
    expect(performance.now() - began).toBeGreaterThan(15);
  });

  it.each([
    [{ store: 42 }, 'locks.store must be a URL or a lock store'],
    [{ store: new MemoryStore() }, 'locks.store must be a URL or a lock store'],
    [{ store: () => 'none' }, 'locks.store: locks cannot be switched off'],
    [{ store: 'hunter2' }, 'locks.store must begin with'],
    [{ lease: 10 }, 'lease must be at least 100 ms'],
    [{ leese: 10 }, 'unknown option "locks.leese": did you mean "lease"?'],
    [{ store: new MemoryLockStore(), prefix: 'x' }, 'locks.prefix is for a store named by URL'],
  ])('refuses %o', async (locks, message) => {
    const error = await bootError([root({ locks } as never)]);
    expect(error.message).toContain(message);
    expect(error.message).not.toContain('hunter2');
  });
});

describe('the role of the server', () => {
  const evicting = ['--maxmemory', '50mb', '--maxmemory-policy', 'allkeys-lru'];

  it('a lock store that evicts stops the boot, or is accepted', async () => {
    await using cache = await RedisServer.start({ args: evicting });
    const error = await bootError([root({ remote: cache.url, locks: { store: cache.url } })]);
    expect(error).toMatchObject({ code: 'evicting_lock_store' });
    expect(error.message).toContain('maxmemory-policy allkeys-lru');
    expect(error.message).toContain('CACHE_LOCK_URL');
    const app = await boot([root({ locks: { store: cache.url, acceptEviction: true } })]);
    expect(await app.get(CacheLockService).run('k', () => 1)).toBe(1);
  });

  it('a cache that evicts does not, until somebody locks there', async () => {
    await using cache = await RedisServer.start({ args: evicting });
    const app = await boot([root({ remote: cache.url })]);
    const locking = app.get(CacheLockService).run('k', () => expect.fail('it ran without a lock'));
    expect(await failure(locking)).toMatchObject({ code: 'evicting_lock_store' });
    await cache.config('maxmemory-policy', 'noeviction');
    expect(await app.get(CacheLockService).run('k', () => 1)).toBe(1);
  });

  it('is looked at again after a failover', async () => {
    const locksServer = await RedisServer.start();
    onTestFinished(() => locksServer.stop());
    const [locks] = await pair({ locks: { store: locksServer.url } });
    expect(await locks.run('k', () => 1)).toBe(1);
    const port = locksServer.port;
    await locksServer.stop();
    const heir = await RedisServer.start({ port, args: evicting });
    onTestFinished(() => heir.stop());
    const outcome = async (): Promise<unknown> => (await failure(locks.run('k', () => 1))).code;
    await until(async () => (await outcome()) === 'evicting_lock_store', 5000);
  });

  it('locks and cache in two databases of one server are worth a warning', async () => {
    const seen = warnings();
    await boot([root({ remote: `${server.url}/0`, locks: { store: `${server.url}/1` } })]);
    expect(seen.join()).toContain('they still share its memory limit and eviction policy');
    seen.length = 0;
    await boot([root({ remote: `${server.url}/0`, locks: { store: `${server.url}/0` } })]);
    expect(seen).toEqual([]);
  });

  it('one that is down does not stop the boot, and nobody gets a lock', async () => {
    const seen = warnings();
    const url = `redis://127.0.0.1:${await freePort()}`;
    const app = await boot([root({ locks: { store: url } })]);
    expect(seen.join()).toContain('the lock store cannot be reached yet');
    const locking = app.get(CacheLockService).run('k', () => expect.fail('it ran without a lock'));
    expect(await failure(locking)).toMatchObject({ code: 'lock_store_unavailable' });
  });
});

describe('locks and the cache', () => {
  it('4.14 #14 two versions of an application exclude each other', async () => {
    const [one, two] = await pair(
      { remote: server.url, version: { app: '1', stamp: 'a' } },
      { remote: server.url, version: { app: '2', stamp: 'b' } },
    );
    await using _held = await one.acquire('k');
    expect(await two.tryAcquire('k')).toBeUndefined();
  });

  it('4.14 #15 clear(), prefix and tag invalidation and a new stamp leave locks alone', async () => {
    const namespaces = [{ name: 'default', prefixes: ['k'] }];
    const app = await boot([root({ remote: server.url, namespaces })]);
    const cache = app.get(CacheService);
    const locks = app.get(CacheLockService);
    await using lease = await locks.acquire('k', { lease: 300 });
    await cache.set('k', 1, { tags: ['k'] });
    await cache.clear();
    await cache.deleteByPrefix('k');
    await cache.invalidateTags(['k']);
    await cache.delete('k');
    await cache.setStamp('another');
    await cache.setApplicationStamp('another');
    expect(await locks.inspect('k')).toMatchObject({ owner: lease.owner });
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(lease.isHeld).toBe(true);
  });

  describe.each([true, false])('reads inside a lock, with requestTier: %s', (requestTier) => {
    /** Two processes, of which the second does not hear that the first has written. */
    async function deaf() {
      const { database } = new MemoryStore();
      const store = (): MemoryStore => new MemoryStore({ database });
      const apps = [
        await boot([root({ remote: store(), requestTier })]),
        await boot([root({ remote: store(), requestTier })]),
      ];
      const [writer, reader] = apps.map((app) => app.get(CacheService)) as [CacheService, CacheService];
      const app = apps[1] as (typeof apps)[number];
      await writer.set('k', 'old');
      expect((await reader.get('k')).value).toBe('old');
      database.sessions.clear();
      return { writer, reader, locks: app.get(CacheLockService), request: app.get(RequestCacheService) };
    }

    it('skip what the request and memory tiers learned before', async () => {
      const { writer, reader, locks, request } = await deaf();
      await runInCacheScope(async () => {
        request.set('mine', 1);
        expect((await reader.get('k')).value).toBe('old');
        await writer.set('k', 'new');
        expect((await reader.get('k')).value).toBe('old');
        await locks.run('lock', async () => {
          expect((await reader.get('k')).value).toBe('new');
          expect(await reader.getOrSet('k', () => 'loaded')).toBe('new');
          // What the application put there itself is still there.
          expect(request.get('mine').getValueOrDefault(undefined)).toBe(requestTier ? 1 : undefined);
          await reader.set('k', 'newest');
        });
        expect((await reader.get('k')).value).toBe('newest');
      });
    });

    it('do not join a load that began before', async () => {
      const { writer, reader, locks } = await deaf();
      await writer.delete('fresh');
      const { opened, open } = gate<string>();
      const begun = gate();
      const before = reader.getOrSet('fresh', () => (begun.open(), opened));
      await begun.opened;
      await locks.run('lock', async () => {
        await writer.set('fresh', 'written');
        expect(await reader.getOrSet('fresh', () => 'loaded')).toBe('written');
      });
      open('old');
      expect(await before).toBe('old');
    });
  });
});

let started = gate();
let finish = gate();

@Controller()
class Redeem {
  constructor(private readonly locks: CacheLockService) {}

  @Get()
  redeem(): Promise<object> {
    return this.locks.run('policy', async (lease) => {
      started.open();
      await finish.opened;
      lease.assertHeld();
      return { fence: String(lease.fencingToken) };
    });
  }

  @Get('wait')
  wait(): Promise<string> {
    return this.locks.run('policy', { wait: '10m' }, () => 'it ran');
  }
}

describe.each<Platform>(['express', 'fastify'])('4.14 #20 shutdown under load on %s', (platform) => {
  // Before the applications are closed, which wait for their requests: after a failure nobody else would let them go.
  afterEach(() => finish.open());

  it('keeps locks of running work, refuses those who wait, and leaves nothing', { timeout: 10_000 }, async () => {
    started = gate();
    finish = gate();
    const other = (await boot([root({ locks: { store: server.url } })])).get(CacheLockService);
    const { app, url } = await serve(platform, {
      imports: [root({ locks: { store: server.url, lease: 500 } })],
      controllers: [Redeem],
    });
    const close = { headers: { connection: 'close' } };
    const answer = fetch(url, close).then((response) => response.json());
    await started.opened;
    const waits = fetch(`${url}/wait`, close).then((response) => response.status);
    await until(async () => (await other.inspect('policy'))?.waiting === 1, 2000);
    const closing = app.close();
    expect(await waits).toBe(500);
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(await other.tryAcquire('policy')).toBeUndefined();
    finish.open();
    expect(await answer).toEqual({ fence: expect.stringMatching(/^\d{16}$/) as string });
    await closing;
    expect(await other.inspect('policy')).toBeUndefined();
  });
});
