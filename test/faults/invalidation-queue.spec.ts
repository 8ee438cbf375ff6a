import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { CacheEngine } from '../../src/core/cache-engine.js';
import type { EngineOptions } from '../../src/core/engine.options.js';
import type { CacheService } from '../../src/core/cache.service.js';
import { StoreUnavailableError } from '../../src/core/errors/cache.error.js';
import { MAX_PENDING, type PendingCounts } from '../../src/core/outage/invalidation-queue.js';
import { FaultProxy } from '../servers/fault.proxy.js';
import { RedisServer } from '../servers/redis.server.js';
import { heard, openEngine, unhandledRejections, until } from './subject.js';

const NONE: PendingCounts = { keys: 0, tokens: 0 };
const OTHER = 'other';

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());

interface Pair {
  /** Its link to the store can be cut. */
  readonly here: CacheService;
  readonly there: CacheService;
  readonly engine: CacheEngine;
  readonly proxy: FaultProxy;
}

async function proxied(): Promise<FaultProxy> {
  const proxy = await FaultProxy.start(server.port);
  onTestFinished(() => proxy.stop());
  return proxy;
}

async function pair(options: Partial<EngineOptions> = {}): Promise<Pair> {
  await server.command('FLUSHALL');
  const proxy = await proxied();
  const namespaces = [{ name: 'default', prefixes: ['page:'] }, { name: OTHER }];
  const engine = await heard(openEngine(`redis://127.0.0.1:${proxy.port}`, { namespaces, ...options }));
  const other = await heard(openEngine(server.url, { namespaces, ...options }));
  return { here: engine.namespace('default'), there: other.namespace('default'), engine, proxy };
}

/** Both have `old`, and the link of `here` is cut. */
async function cutOff(key: string, options?: Partial<EngineOptions>): Promise<Pair> {
  const made = await pair(options);
  await made.there.set(key, 'old', { tags: ['t'] });
  await until(async () => (await made.here.get(key)).tier === 'memory', 2000);
  made.proxy.cut();
  return made;
}

async function sent(engine: CacheEngine): Promise<void> {
  await until(() => Object.values(engine.inspect().pending).every((count) => count === 0), 5000);
}

const KEY = 'page:1';
const calls: Record<string, (cache: CacheService) => Promise<unknown>> = {
  delete: (cache) => cache.delete(KEY),
  deleteMany: (cache) => cache.deleteMany([KEY, 'page:2']),
  expire: (cache) => cache.expire(KEY),
  invalidateTags: (cache) => cache.invalidateTags(['t']),
  deleteByPrefix: (cache) => cache.deleteByPrefix('page:'),
  clear: (cache) => cache.clear(),
  setStamp: (cache) => cache.setStamp('2'),
  setApplicationStamp: (cache) => cache.setApplicationStamp('2'),
  'set (which cannot be shared)': (cache) => cache.set(KEY, 'set', { ttl: 1 }),
};

describe('an invalidation while the store cannot be reached', () => {
  it.each(Object.keys(calls))('%s holds here at once, and everywhere when the link is back', async (name) => {
    const unhandled = unhandledRejections();
    const { here, there, engine, proxy } = await cutOff(KEY);
    await calls[name]?.(here);
    expect(here.stats().queued).toBeGreaterThan(0);
    expect(engine.inspect().pending).not.toEqual(NONE);
    expect(here.peek(KEY)).not.toBe('old');
    expect(await here.getOrSet(KEY, () => 'new')).not.toBe('old');
    expect((await there.get(KEY)).value).toBe('old');

    await proxy.heal();
    await sent(engine);
    await until(() => there.peek(KEY) === undefined, 1000);
    for (const cache of [there, here]) expect(await cache.getOrSet(KEY, () => 'new')).not.toBe('old');
    expect(unhandled).toEqual([]);
  });

  it('is sent before anything that the store says is believed, also by a process that has nothing else to do', async () => {
    const { here, engine, proxy } = await cutOff(KEY);
    await here.delete(KEY);
    await proxy.heal();
    // From the first answer on: whatever is read is not the old value.
    await until(async () => {
      const read = await here.get(KEY);
      expect(read.isFound).toBe(false);
      return !engine.inspect().isStoreDown && engine.inspect().pending.keys === 0;
    }, 5000);
    expect(await server.command('EXISTS', ...(await storeKeys()))).toBe(0);
  });

  it('resolves to whether this process knew of an entry', async () => {
    const { here } = await cutOff(KEY);
    expect(await here.delete(KEY)).toBe(true);
    expect(await here.delete('unknown')).toBe(false);
    expect(await here.deleteMany(['unknown', 'unheard of'])).toBe(0);
  });

  it('is sent again when it is not known whether it was done', async () => {
    const { here, there, engine } = await pair();
    for (const key of ['a', 'b']) await there.set(key, 'old');
    server.pause();
    // Written to the socket, so done as soon as the server goes on.
    expect(await here.deleteMany(['a', 'b'])).toBe(0);
    server.resume();
    await sent(engine);
    for (const cache of [here, there]) {
      for (const key of ['a', 'b']) await until(async () => !(await cache.get(key)).isFound, 1000);
    }
  });

  it('voids a load that began before it, and whose result arrives when the store is back', async () => {
    const { here, there, engine, proxy } = await pair();
    let finish: (value: string) => void = () => undefined;
    const value = new Promise<string>((resolve) => (finish = resolve));
    let begin = (): void => undefined;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    const loading = here.getOrSet(KEY, () => (begin(), value), { tags: ['t'], lease: '1m' });
    await begun;
    proxy.cut();
    await here.invalidateTags(['t']);
    await here.delete(KEY);
    await proxy.heal();
    await sent(engine);
    finish('old');
    expect(await loading).toBe('old');
    for (const cache of [here, there]) expect((await cache.get(KEY)).isFound).toBe(false);
  });

  it('becomes one of the whole namespace when there are too many, and loses none', { timeout: 60_000 }, async () => {
    const { here, there, engine, proxy } = await pair({ deadlineMs: 30_000 });
    const other = engine.namespace(OTHER);
    const keys = Array.from({ length: MAX_PENDING + 500 }, (_, i) => `key:${i}`);
    expect(await there.setMany(keys.map((key) => [key, 'old']))).toBe(true);
    await there.namespace(OTHER).set('kept', 'value');
    proxy.cut();
    await other.delete('gone');
    await here.deleteMany(keys);
    expect(engine.inspect().pending).toEqual({ keys: 1, tokens: 1 });
    await proxy.heal();
    await sent(engine);
    for (const cache of [here, there]) {
      const found = await cache.getManyShared(keys);
      expect(found.filter(({ isFound }) => isFound)).toEqual([]);
    }
    expect((await other.get('kept')).value).toBe('value');
  });

  it('becomes one of everything when there are too many tags', async () => {
    const { here, there, engine, proxy } = await cutOff(KEY);
    const other = there.namespace(OTHER);
    await there.setApplicationStamp('1');
    await other.set('k', 'old', { tags: ['t1'] });
    await here.invalidateTags(Array.from({ length: MAX_PENDING + 1 }, (_, i) => `t${i}`));
    expect(engine.inspect().pending).toEqual({ keys: 0, tokens: 1 });
    await proxy.heal();
    await sent(engine);
    await until(async () => !(await other.get('k')).isFound, 1000);
    expect((await here.namespace(OTHER).get('k')).isFound).toBe(false);
    await other.set('k', 'new', { tags: ['t1'] });
    await until(async () => (await here.namespace(OTHER).get('k')).getValueOrDefault('none') === 'new', 1000);
  });

  it('waits alone where the store refuses it and serves the rest', async () => {
    const { here, there, engine } = await pair();
    await there.set('tagged', 'old', { tags: ['t'] });
    await there.set('plain', 'value');
    await server.command('DEBUG', 'POPULATE', 2000, 'filler', 1000);
    await server.config('maxmemory-policy', 'noeviction');
    await server.config('maxmemory', '1mb');
    onTestFinished(() => server.config('maxmemory', 0));
    await here.invalidateTags(['t']);
    expect(engine.inspect().pending).toEqual({ keys: 0, tokens: 1 });
    expect((await here.get('plain')).value).toBe('value');
    expect((await here.get('tagged')).isFound).toBe(false);
    // Removals need no memory.
    expect(await here.delete('plain')).toBe(true);
    await server.config('maxmemory', 0);
    await sent(engine);
    await until(async () => !(await there.get('tagged')).isFound, 1000);
  });
});

describe("whenDown: 'reject'", () => {
  const rejecting = { whenDown: 'reject' } as const;

  it.each<[string, (cache: CacheService) => Promise<unknown>]>([
    ['delete', (cache) => cache.delete(KEY, rejecting)],
    ['deleteMany', (cache) => cache.deleteMany([KEY], rejecting)],
    ['expire', (cache) => cache.expire(KEY, rejecting)],
    ['invalidateTags', (cache) => cache.invalidateTags(['t'], rejecting)],
    ['deleteByPrefix', (cache) => cache.deleteByPrefix('page:', rejecting)],
    ['clear', (cache) => cache.clear(rejecting)],
    ['setStamp', (cache) => cache.setStamp('2', rejecting)],
    ['setApplicationStamp', (cache) => cache.setApplicationStamp('2', rejecting)],
  ])('%s rejects and leaves nothing waiting', async (_, call) => {
    const { here, engine } = await cutOff(KEY);
    await expect(call(here)).rejects.toBeInstanceOf(StoreUnavailableError);
    expect(engine.inspect().pending).toEqual(NONE);
    expect(here.peek(KEY)).toBeUndefined();
  });

  it('of a namespace holds for all its calls that do not say otherwise', async () => {
    const { here } = await cutOff(KEY, { namespaces: [{ name: 'default', whenDown: 'reject' }] });
    await expect(here.delete(KEY)).rejects.toBeInstanceOf(StoreUnavailableError);
    await expect(here.delete(KEY, { whenDown: 'queue' })).resolves.toBe(false);
  });
});

describe('at the end of a process, what waits', () => {
  it('is sent if the store is back', async () => {
    const { here, there, engine, proxy } = await cutOff(KEY);
    await here.delete(KEY);
    await proxy.heal();
    await until(async () => {
      await engine.drain();
      return engine.inspect().pending.keys === 0;
    }, 5000);
    await until(async () => !(await there.get(KEY)).isFound, 1000);
  });

  it('is told in numbers if it is not', async () => {
    const unsent: PendingCounts[] = [];
    const { here, engine } = await cutOff(KEY, { onUnsent: (counts) => unsent.push(counts) });
    await here.deleteMany(['a', 'b']);
    await here.clear();
    await engine.drain();
    await engine.close();
    expect(unsent).toEqual([{ keys: 2, tokens: 1 }]);
  });
});

const PROCESSES = 3;
const MAX_STALE_MS = 300;
const KEYS = ['page:1', 'page:2', 'page:3'];
const OF_ALL = new Set(['prefix', 'clear', 'stamp', 'release']);
const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.tuple(fc.constantFrom('cut', 'blackhole', 'reset', 'heal', 'heal'), fc.nat(2), fc.nat(2)),
  },
  { weight: 5, arbitrary: fc.tuple(fc.constant('load'), fc.nat(2), fc.nat(2)) },
  {
    weight: 5,
    arbitrary: fc.tuple(
      fc.constantFrom('delete', 'expire', 'tag', 'prefix', 'clear', 'set', 'stamp', 'release'),
      fc.nat(2),
      fc.nat(KEYS.length - 1),
    ),
  },
);

describe('nothing is lost in an outage of the store', () => {
  it(
    'whatever is invalidated while whichever links are down: no old value is read after the recovery',
    { timeout: 120_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 24 }), async (steps) => {
          await server.command('FLUSHALL');
          const proxies = await Promise.all(Array.from({ length: PROCESSES }, () => FaultProxy.start(server.port)));
          const engines = proxies.map((proxy) =>
            openEngine(`redis://127.0.0.1:${proxy.port}`, {
              deadlineMs: 50,
              memory: { maxEntries: 100, maxBytes: 100_000, maxStaleWithoutBusMs: MAX_STALE_MS },
              namespaces: [{ name: 'default', prefixes: ['page:'] }],
            }),
          );
          await Promise.all(engines.map(heard));
          const caches = engines.map((engine) => engine.namespace('default'));
          const truth = [0, 0, 0];
          let stamps = 0;
          const load = (process: number, key: number): Promise<number> =>
            (caches[process] as CacheService).getOrSet(KEYS[key] as string, () => truth[key] as number, {
              tags: [`tag:${key}`],
            });
          try {
            for (const [what, process, key] of steps) {
              const proxy = proxies[process] as FaultProxy;
              const cache = caches[process] as CacheService;
              const name = KEYS[key] as string;
              if (what === 'cut' || what === 'blackhole' || what === 'reset') proxy[what]();
              else if (what === 'heal') await proxy.heal();
              else if (what === 'load') await load(process, key);
              else {
                if (OF_ALL.has(what)) truth.forEach((_, i) => truth[i]!++);
                else truth[key]!++;
                if (what === 'delete') await cache.delete(name);
                else if (what === 'tag') await cache.invalidateTags([`tag:${key}`]);
                else if (what === 'prefix') await cache.deleteByPrefix('page:');
                else if (what === 'clear') await cache.clear();
                else if (what === 'stamp') await cache.setStamp(`${++stamps}`);
                else if (what === 'release') await cache.setApplicationStamp(`${++stamps}`);
                else if (what === 'set') await cache.set(name, truth[key], { tags: [`tag:${key}`] });
                else {
                  // The value stays good enough to be served while it is stale.
                  truth[key]!--;
                  await cache.expire(name);
                }
                expect(await load(process, key)).toBeGreaterThanOrEqual(truth[key] as number);
              }
            }
            await Promise.all(proxies.map((proxy) => proxy.heal()));
            for (const engine of engines) {
              await until(() => engine.inspect().isHeard && !engine.inspect().isStoreDown, 5000);
              await sent(engine);
            }
            // What a process loaded while it could not ask, it keeps for so long.
            await new Promise((resolve) => setTimeout(resolve, MAX_STALE_MS));
            for (const process of [0, 1, 2])
              for (const key of [0, 1, 2]) expect(await load(process, key)).toBe(truth[key]);
          } finally {
            await Promise.all(engines.map((engine) => engine.close()));
            await Promise.all(proxies.map((proxy) => proxy.stop()));
          }
        }),
        { numRuns: Number(process.env['TC_OUTAGES'] ?? 20) },
      );
    },
  );
});

async function storeKeys(): Promise<string[]> {
  return ['none', ...((await server.command('KEYS', 'tc:e:*page*')) as string[])];
}
