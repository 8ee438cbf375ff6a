import { beforeAll, describe, expect, it } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import { redis } from '../../src/stores/redis/index.js';
import { FaultProxy } from '../servers/fault.proxy.js';
import { freePort } from '../servers/free.port.js';
import { RedisServer } from '../servers/redis.server.js';
import {
  addedMs,
  heard,
  inParallel,
  inSequence,
  openEngine,
  quantile,
  undisturbed,
  unhandledRejections,
  until,
} from './subject.js';

const DEADLINE_MS = 250;
const SLACK_MS = 50;
const RECOVERY_MS = 500;

/** Starts under load, so that scripts, connections and compiled code are not what is measured. */
const WARM_UP_CALLS = 50;

interface Link {
  server: RedisServer;
  proxy: FaultProxy;
}

interface Outage {
  name: string;
  /** The server comes back empty. */
  forgets?: true;
  begin(link: Link): unknown;
  /** Resolves at the moment from which the server works again. */
  end(link: Link): unknown;
}

/** The server does not answer: calls wait for the deadline until the breaker opens, and not at all from then on. */
const SILENT: Outage[] = [
  { name: 'stopped (SIGSTOP)', begin: ({ server }) => server.pause(), end: ({ server }) => server.resume() },
  { name: 'black-holed', begin: ({ proxy }) => proxy.blackhole(), end: ({ proxy }) => proxy.heal() },
  { name: 'cut off', begin: ({ proxy }) => proxy.cut(), end: ({ proxy }) => proxy.heal() },
  {
    name: 'killed and restarted',
    forgets: true,
    begin: ({ server }) => server.kill(),
    end: ({ server }) => server.restart(),
  },
];

/** The server answers at once, by a refusal. */
const REFUSING: Outage[] = [
  {
    name: 'out of memory',
    async begin({ server }) {
      await server.command('DEBUG', 'POPULATE', 2000, 'filler', 1000);
      await server.config('maxmemory-policy', 'noeviction');
      await server.config('maxmemory', '1mb');
      await expect(server.command('SET', 'probe', 'x')).rejects.toThrow('OOM');
    },
    end: ({ server }) => server.config('maxmemory', 0),
  },
  {
    name: 'READONLY',
    async begin({ server }) {
      await server.config('replica-serve-stale-data', 'yes');
      await server.command('REPLICAOF', '127.0.0.1', await freePort());
      await expect(server.command('SET', 'probe', 'x')).rejects.toThrow('READONLY');
    },
    end: ({ server }) => server.command('REPLICAOF', 'NO', 'ONE'),
  },
];

/** The key is written and then read past the memory tier. */
async function remoteHit(engine: CacheEngine): Promise<boolean> {
  const cache = engine.namespace('default');
  if (!(await cache.set('returned', 'value'))) return false;
  engine.memory?.clear();
  return (await cache.get('returned')).tier === 'remote';
}

async function working({ proxy }: Link): Promise<CacheEngine> {
  const engine = await heard(openEngine(`redis://127.0.0.1:${proxy.port}`));
  await inParallel(WARM_UP_CALLS, engine.namespace('default'));
  expect(await remoteHit(engine)).toBe(true);
  return engine;
}

async function link(args: string[] = []): Promise<Link & AsyncDisposable> {
  const server = await RedisServer.start({ args });
  const proxy = await FaultProxy.start(server.port);
  return {
    server,
    proxy,
    async [Symbol.asyncDispose]() {
      await proxy.stop();
      await server.stop();
    },
  };
}

/** Ends the outage and tells how long after it the first remote hit came. */
async function recovery(engine: CacheEngine, end: () => unknown): Promise<number> {
  await end();
  return until(() => remoteHit(engine), 5000);
}

/** Calls one after the other until the breaker opens, which takes a few failures in a row. */
async function untilGivenUp(engine: CacheEngine): Promise<number[]> {
  const times: number[] = [];
  while (!engine.inspect().isStoreDown && times.length < 10) times.push(await addedMs(engine.namespace('default')));
  expect(engine.inspect().isStoreDown).toBe(true);
  return times;
}

function expectNoWait(times: readonly number[]): void {
  expect(quantile(times, 0.5)).toBeLessThan(1);
  expect(quantile(times, 0.99)).toBeLessThan(1);
}

// The first of everything is slow in a process: compiled code is what is measured.
beforeAll(async () => {
  const engine = new CacheEngine({ store: redis({ url: `redis://127.0.0.1:${await freePort()}` }) });
  engine.open();
  await inParallel(200, engine.namespace('default'));
  await undisturbed(2000, engine.namespace('default'));
  await engine.close();
});

describe.each(SILENT)('Redis $name', (outage) => {
  it('fails no call, delays none beyond the deadline, and is used again at once', async () => {
    const unhandled = unhandledRejections();
    await using path = await link();
    const engine = await working(path);
    const cache = engine.namespace('default');

    await outage.begin(path);
    const slow = [...(await inParallel(200, cache)), ...(await untilGivenUp(engine))];
    expect(Math.max(...slow)).toBeLessThanOrEqual(DEADLINE_MS + SLACK_MS);
    expectNoWait(await undisturbed(1000, cache));
    expect(Math.max(...(await inParallel(200, cache)))).toBeLessThanOrEqual(DEADLINE_MS + SLACK_MS);
    expect(engine.inspect().isStoreDown).toBe(true);

    expect(await recovery(engine, () => outage.end(path))).toBeLessThanOrEqual(RECOVERY_MS);
    expect(engine.inspect()).toMatchObject({ isStoreDown: false, flights: 0, waiting: 0, watched: 0 });
    expect(unhandled).toEqual([]);
  });

  it('fails no call whose loader outlives the whole outage, and shares the result', async () => {
    const unhandled = unhandledRejections();
    await using path = await link();
    const engine = await working(path);
    const cache = engine.namespace('default');
    let finish = (): void => undefined;
    let begin = (): void => undefined;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    const gate = new Promise<void>((resolve) => (finish = resolve));
    const slow = cache.getOrSet('slow', async () => {
      begin();
      await gate;
      return 'loaded';
    });
    await begun;
    await outage.begin(path);
    await untilGivenUp(engine);
    await outage.end(path);
    await until(() => !engine.inspect().isStoreDown, 1000);
    finish();
    expect(await slow).toBe('loaded');
    // With the lease, the right to store it is gone.
    expect(await cache.getOrSet('slow', () => 'again')).toBe(outage.forgets ? 'again' : 'loaded');
    expect(unhandled).toEqual([]);
  });

  it('holds no caller when the outage begins while loaders run', async () => {
    const unhandled = unhandledRejections();
    await using path = await link();
    const cache = (await working(path)).namespace('default');
    const started = performance.now();
    let loaded = 0;
    const calls = Array.from({ length: 20 }, (_, i) =>
      cache.getOrSet(`under-way-${i}`, async () => {
        if (++loaded === 20) await outage.begin(path);
        else await until(() => loaded === 20, 5000);
        loadedAt = performance.now();
        return i;
      }),
    );
    let loadedAt = started;
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(performance.now() - loadedAt).toBeLessThanOrEqual(DEADLINE_MS + SLACK_MS);
    await outage.end(path);
    expect(unhandled).toEqual([]);
  });
});

describe.each(REFUSING)('Redis $name', (outage) => {
  it('fails no call and hardly delays any, and is used again at once', async () => {
    const unhandled = unhandledRejections();
    await using path = await link();
    const engine = await working(path);
    const cache = engine.namespace('default');

    await outage.begin(path);
    const times = [...(await inParallel(200, cache)), ...(await inSequence(200, cache))];
    expect(Math.max(...times)).toBeLessThanOrEqual(DEADLINE_MS + SLACK_MS);
    expect(quantile(times.slice(200), 0.5)).toBeLessThan(5);

    expect(await recovery(engine, () => outage.end(path))).toBeLessThanOrEqual(RECOVERY_MS);
    expect(unhandled).toEqual([]);
  });
});

describe('Redis LOADING', () => {
  /** Loads for two seconds, and answers meanwhile. */
  const args = ['--key-load-delay', '2000', '--loading-process-events-interval-bytes', '1024'];
  const KEYS = 1000;

  it('after a restart: fails no call, delays none beyond the deadline, and is used as soon as it has loaded', async () => {
    const unhandled = unhandledRejections();
    await using path = await link(args);
    const engine = await working(path);
    const cache = engine.namespace('default');
    await path.server.command('DEBUG', 'POPULATE', KEYS, 'filler', 100);
    await path.server.command('SAVE');

    await path.server.restart({ waitReady: false });
    await expect(path.server.command('GET', 'x')).rejects.toThrow('LOADING');
    const times = [...(await inParallel(200, cache)), ...(await inSequence(200, cache))];
    expect(Math.max(...times)).toBeLessThanOrEqual(DEADLINE_MS + SLACK_MS);
    await expect(path.server.command('GET', 'x')).rejects.toThrow('LOADING');

    expect(await recovery(engine, () => path.server.ready())).toBeLessThanOrEqual(RECOVERY_MS);
    expect(unhandled).toEqual([]);
  });

  it('on an open connection: fails no call and hardly delays any', async () => {
    const unhandled = unhandledRejections();
    await using path = await link(args);
    const engine = await working(path);
    const cache = engine.namespace('default');
    await path.server.command('DEBUG', 'POPULATE', KEYS, 'filler', 100);

    const reload = path.server.command('DEBUG', 'RELOAD');
    await until(
      () =>
        path.server.command('GET', 'x').then(
          () => false,
          (error: Error) => /LOADING/.test(error.message),
        ),
      5000,
    );
    const times = [...(await inParallel(200, cache)), ...(await inSequence(200, cache))];
    expect(Math.max(...times)).toBeLessThanOrEqual(DEADLINE_MS + SLACK_MS);
    expect(quantile(times.slice(200), 0.5)).toBeLessThan(5);

    expect(await recovery(engine, () => reload)).toBeLessThanOrEqual(RECOVERY_MS);
    expect(unhandled).toEqual([]);
  });
});

describe('boot', () => {
  it('does not need Redis: calls work before there is one, and it is used as soon as it appears', async () => {
    const unhandled = unhandledRejections();
    const port = await freePort();
    const started = performance.now();
    const engine = openEngine(`redis://127.0.0.1:${port}`);
    expect(performance.now() - started).toBeLessThan(1000);
    const cache = engine.namespace('default');
    expect(await addedMs(cache)).toBeLessThanOrEqual(DEADLINE_MS + SLACK_MS);
    const times = [...(await inParallel(200, cache)), ...(await untilGivenUp(engine))];
    expect(Math.max(...times)).toBeLessThanOrEqual(DEADLINE_MS + SLACK_MS);
    expectNoWait(await undisturbed(1000, cache));

    await using server = await RedisServer.start({ port });
    expect(await recovery(engine, () => server.ready())).toBeLessThanOrEqual(RECOVERY_MS);
    expect(unhandled).toEqual([]);
  });

  it('does not wait for a Redis that accepts and says nothing', async () => {
    const unhandled = unhandledRejections();
    await using path = await link();
    path.proxy.blackhole();
    const started = performance.now();
    const engine = openEngine(`redis://127.0.0.1:${path.proxy.port}`);
    expect(performance.now() - started).toBeLessThan(1000);
    const cache = engine.namespace('default');
    const times = [...(await inParallel(200, cache)), ...(await untilGivenUp(engine))];
    expect(Math.max(...times)).toBeLessThanOrEqual(DEADLINE_MS + SLACK_MS);
    expectNoWait(await undisturbed(1000, cache));

    expect(await recovery(engine, () => path.proxy.heal())).toBeLessThanOrEqual(RECOVERY_MS);
    expect(unhandled).toEqual([]);
  });
});
