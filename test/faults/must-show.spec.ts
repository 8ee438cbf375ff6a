import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { CacheEngine } from '../../src/core/cache-engine.js';
import type { EngineOptions } from '../../src/core/engine.options.js';
import type { CacheService } from '../../src/core/cache.service.js';
import { FaultProxy } from '../servers/fault.proxy.js';
import { RedisServer } from '../servers/redis.server.js';
import type { WorkerProcess } from '../servers/worker.process.js';
import { compiledEntry, forkWorker } from '../servers/worker.process.js';
import { heard, openEngine, until } from './subject.js';
import { now } from '../servers/machine.clock.mjs';

// What invalidation has to show on real servers, by number.

const SCRIPT = fileURLToPath(new URL('../servers/workers/cache.mjs', import.meta.url));
/** A busy machine is not an outage. */
const PATIENT: Partial<EngineOptions> = { deadlineMs: 5000 };
async function started(args: string[] = []): Promise<RedisServer> {
  const server = await RedisServer.start({ args });
  onTestFinished(() => server.stop());
  return server;
}

async function proxied(port: number): Promise<FaultProxy> {
  const proxy = await FaultProxy.start(port);
  onTestFinished(() => proxy.stop());
  return proxy;
}

async function opened(url: string, options: Partial<EngineOptions> = {}): Promise<[CacheService, CacheEngine]> {
  const engine = await heard(openEngine(url, { ...PATIENT, ...options }));
  return [engine.namespace('default'), engine];
}

/** Resolves when the store answers: the connection for commands is not the one that hears. */
async function answered(cache: CacheService): Promise<void> {
  await until(
    () =>
      cache.getManyShared(['any']).then(
        () => true,
        () => false,
      ),
    5000,
  );
}

function throughProxy(proxy: FaultProxy): string {
  return `redis://127.0.0.1:${proxy.port}`;
}

let server: RedisServer;
let workers: [WorkerProcess, WorkerProcess];
beforeAll(async () => {
  await compiledEntry();
  server = await RedisServer.start();
  const start = async (): Promise<WorkerProcess> => {
    const worker = await forkWorker(SCRIPT, { args: [server.url] });
    await worker.call('warm');
    return worker;
  };
  workers = [await start(), await start()];
});
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.kill()));
  await server.stop();
});

describe('1. after an acknowledged update', () => {
  it('another process reads nothing older 100 ms later, over 1,000 updates', { timeout: 60_000 }, async () => {
    const UPDATES = 1000;
    const [writer, reader] = workers;
    await writer.call('call', ['set', 'followed', 0]);
    const following = reader.call<number[]>('follow', ['followed', UPDATES]);
    const acknowledged = [0];
    for (let version = 1; version <= UPDATES; version++) {
      expect(await writer.call('call', ['set', 'followed', version])).toBe(true);
      acknowledged.push(now());
    }
    const lastRead = await following;
    const late = acknowledged.filter((at, version) => version > 0 && (lastRead[version - 1] ?? 0) > at + 100);
    expect(late).toEqual([]);
    expect(lastRead.filter((at) => at !== undefined).length).toBeGreaterThan(10);
  });
});

describe('2. a process that cannot hear', () => {
  const KEYS = Array.from({ length: 1000 }, (_, i) => `key:${i}`);
  const CUT_MS = 3000;
  const MAX_STALE_MS = 500;

  async function remembering(): Promise<{
    here: CacheService;
    there: CacheService;
    deaf: CacheEngine;
    proxy: FaultProxy;
    server: RedisServer;
  }> {
    const server = await started();
    const proxy = await proxied(server.port);
    const [here] = await opened(server.url);
    const memory = { maxEntries: 10_000, maxBytes: 2 ** 24, maxStaleWithoutBusMs: MAX_STALE_MS };
    const [there, deaf] = await opened(throughProxy(proxy), { memory });
    expect(await here.setMany(KEYS.map((key) => [key, 'old']))).toBe(true);
    await until(async () => (await there.getMany(KEYS)).every(({ tier }) => tier === 'memory'), 5000);
    return { here, there, deaf, proxy, server };
  }

  function remembered(cache: CacheService): number {
    return KEYS.filter((key) => cache.peek(key) !== undefined).length;
  }

  it(
    'cut off for 3 s while 1,000 keys are deleted: serves nothing older than its limit, and nothing stale afterwards',
    { timeout: 30_000 },
    async () => {
      const { here, there, deaf, proxy } = await remembering();
      proxy.cut();
      await until(() => !deaf.inspect().isHeard, 1000);
      const lostAt = performance.now();
      const deleting = here.deleteMany(KEYS);
      let servedAt = 0;
      await until(() => {
        const at = performance.now();
        if (remembered(there) > 0) servedAt = at;
        return at - lostAt > CUT_MS;
      }, CUT_MS + 2000);
      expect(servedAt - lostAt).toBeGreaterThan(0);
      expect(servedAt - lostAt).toBeLessThanOrEqual(MAX_STALE_MS);
      expect(await deleting).toBe(KEYS.length);
      await proxy.heal();
      await heard(deaf);
      expect(remembered(there)).toBe(0);
      await answered(there);
      expect((await there.getManyShared(KEYS)).filter(({ isFound }) => isFound)).toEqual([]);
    },
  );

  it(
    'its listening connection alone killed again and again for 3 s: nothing stale afterwards',
    { timeout: 30_000 },
    async () => {
      const { here, there, deaf, server } = await remembering();
      const until3s = performance.now() + CUT_MS;
      let deleted = 0;
      while (performance.now() < until3s) {
        await server.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
        if (deleted < KEYS.length) deleted += await here.deleteMany(KEYS.slice(deleted, deleted + 10));
        await sleep(5);
      }
      expect(deleted).toBe(KEYS.length);
      await heard(deaf);
      await until(() => remembered(there) === 0, 100);
      expect((await there.getManyShared(KEYS)).filter(({ isFound }) => isFound)).toEqual([]);
    },
  );

  it('behind a half-open link notices it within 2 s', { timeout: 30_000 }, async () => {
    const { deaf, proxy } = await remembering();
    proxy.blackhole();
    expect(await until(() => !deaf.inspect().isHeard, 5000)).toBeLessThan(2000);
  });
});

describe('3. what the store forgets or brings back', () => {
  const TAGGED = Array.from({ length: 200 }, (_, i) => `tagged:${i}`);
  const DELETED = Array.from({ length: 200 }, (_, i) => `deleted:${i}`);

  async function filled(cache: CacheService): Promise<void> {
    expect(
      await cache.setMany(
        TAGGED.map((key) => [key, 'old']),
        { tags: ['t'] },
      ),
    ).toBe(true);
    expect(await cache.setMany(DELETED.map((key) => [key, 'old']))).toBe(true);
  }

  async function invalidated(cache: CacheService): Promise<void> {
    await cache.invalidateTags(['t'], { whenDown: 'reject' });
    expect(await cache.deleteMany(DELETED, { whenDown: 'reject' })).toBe(DELETED.length);
  }

  /** By the store's word and by each process's, once all of them are in touch with it. */
  async function expectNothingOld(...engines: CacheEngine[]): Promise<void> {
    for (const engine of engines) {
      await until(() => engine.inspect().isHeard && !engine.inspect().isStoreDown, 5000);
      const cache = engine.namespace('default');
      await answered(cache);
      for (const read of [
        await cache.getManyShared([...TAGGED, ...DELETED]),
        await cache.getMany([...TAGGED, ...DELETED]),
      ])
        expect(read.filter(({ isFound }) => isFound).map(({ key }) => key)).toEqual([]);
    }
  }

  it('FLUSHALL: misses', async () => {
    const server = await started();
    const [here, one] = await opened(server.url);
    const [, two] = await opened(server.url);
    await filled(here);
    await invalidated(here);
    await server.command('FLUSHALL');
    await expectNothingOld(one, two);
  });

  it('tokens evicted under memory pressure: misses', { timeout: 60_000 }, async () => {
    const server = await started();
    const [here, one] = await opened(server.url);
    const [, two] = await opened(server.url);
    await filled(here);
    await here.invalidateTags(['t'], { whenDown: 'reject' });
    const tokens = (await server.command('KEYS', 'tc:t:tag:*')) as string[];
    expect(tokens).toHaveLength(1);
    await server.config('maxmemory-policy', 'allkeys-random');
    const info = String(await server.command('INFO', 'memory'));
    await server.config('maxmemory', Number(/used_memory:(\d+)/.exec(info)?.[1]) + 100_000);
    for (let i = 0; (await server.command('EXISTS', ...tokens)) === 1; i++)
      await server.command('SET', `filler:${i}`, Buffer.alloc(20_000));
    const left = (await server.command('KEYS', 'tc:e:*tagged*')) as string[];
    expect(left.length).toBeGreaterThan(0);
    await server.config('maxmemory', 0);
    for (const engine of [one, two]) {
      const read = await engine.namespace('default').getManyShared(TAGGED);
      expect(read.filter(({ isFound }) => isFound)).toEqual([]);
    }
  });

  it(
    'an old snapshot restored: misses, though every entry and token of before is there again',
    { timeout: 60_000 },
    async () => {
      const server = await started();
      const [here, one] = await opened(server.url);
      const [, two] = await opened(server.url);
      await filled(here);
      await server.command('SAVE');
      await invalidated(here);
      await server.restart();
      const keys = (await server.command('KEYS', 'tc:e:*')) as string[];
      expect(keys.length).toBe(TAGGED.length + DELETED.length);
      await expectNothingOld(one, two);
      const [, late] = await opened(server.url);
      await expectNothingOld(late);
    },
  );

  it.each(['empty', 'lagging'])('a failover to a replica that is %s: misses', { timeout: 60_000 }, async (state) => {
    const [primary, replica] = [await started(), await started()];
    const proxy = await proxied(primary.port);
    const [here, one] = await opened(throughProxy(proxy));
    const [, two] = await opened(throughProxy(proxy));
    await filled(here);
    if (state === 'lagging') {
      await primary.config('repl-diskless-sync-delay', 0);
      await replica.command('REPLICAOF', '127.0.0.1', primary.port);
      await until(async () => ((await replica.command('KEYS', 'tc:e:*')) as string[]).length >= 400, 10_000);
      await replica.command('REPLICAOF', 'NO', 'ONE');
    }
    await invalidated(here);
    proxy.redirect(replica.port);
    await primary.kill();
    await expectNothingOld(one, two);
  });
});

describe('4. one tag on 100,000 entries', () => {
  it(
    'is invalidated by one script in less than 5 ms, and nothing grows with the number of entries',
    { timeout: 120_000 },
    async () => {
      const ENTRIES = 100_000;
      const CHUNK = 2000;
      const server = await started();
      const memory = { maxEntries: 100, maxBytes: 100_000, maxStaleWithoutBusMs: 5000 };
      const [here] = await opened(server.url, { memory });
      const [there] = await opened(server.url, { memory });
      const keys = Array.from({ length: ENTRIES }, (_, i) => `entry:${i}`);
      for (let i = 0; i < ENTRIES; i += CHUNK)
        expect(
          await here.setMany(
            keys.slice(i, i + CHUNK).map((key) => [key, 1]),
            { tags: ['all'] },
          ),
        ).toBe(true);
      // The tokens of the tag and the namespace, and of its stamp and the application's: no index.
      expect(await server.command('DBSIZE')).toBe(ENTRIES + 4);

      // The server has not seen the script before.
      await here.invalidateTags(['another']);
      const before = await server.command('DBSIZE');
      await server.command('CONFIG', 'RESETSTAT');
      const begun = performance.now();
      await here.invalidateTags(['all']);
      const first = performance.now() - begun;
      const stats = String(await server.command('INFO', 'commandstats'));
      const calls = Object.fromEntries(
        [...stats.matchAll(/^cmdstat_(\S+):calls=(\d+)/gm)].map(([, name, n]) => [name, Number(n)]),
      );
      delete calls['ping'];
      expect(calls).toEqual({ 'config|resetstat': 1, evalsha: 1, publish: 1, set: 1, time: 1 });
      expect(await server.command('DBSIZE')).toBe(before);
      for (const cache of [here, there])
        expect((await cache.getManyShared(keys.slice(0, CHUNK))).filter(({ isFound }) => isFound)).toEqual([]);

      const times = [first];
      for (let i = 0; i < 20; i++) {
        const at = performance.now();
        await here.invalidateTags(['all']);
        times.push(performance.now() - at);
      }
      // The quickest: the machine is shared.
      expect(Math.min(...times)).toBeLessThan(5);
    },
  );
});

describe('5. while a loader runs', () => {
  const cases = (['tag', 'namespace', 'key'] as const).flatMap((what) =>
    (['the same', 'another'] as const).flatMap((where) =>
      (['foreground', 'background'] as const).map((how) => [what, where, how] as const),
    ),
  );

  it.each(cases)('a %s invalidated in %s process voids what the %s load returns', async (what, where, how) => {
    const key = `loaded:${what}:${where}:${how}`;
    const [loading, other] = workers;
    const actor = where === 'the same' ? loading : other;
    if (how === 'background') {
      await loading.call('call', ['set', key, 'older', { ttl: '1h', freshFor: 1, tags: ['t'] }]);
      await sleep(5);
    }
    const options = { tags: ['t'], softTimeout: how === 'background' ? 0 : 'forever' };
    await loading.call('beginLoad', [key, 'old', options]);
    const invalidation = { tag: ['invalidateTags', ['t']], namespace: ['clear'], key: ['delete', key] }[what];
    await actor.call('call', invalidation);
    // The old entry is gone, too.
    expect(await loading.call('finishLoad', [key])).toBe(how === 'background' ? 'older' : 'old');
    for (let look = 0; look < 5; look++) {
      for (const worker of workers) expect(await worker.call('call', ['get', key])).toMatchObject({ isFound: false });
      await sleep(10);
    }
  });
});
