import { afterEach, describe, expect, expectTypeOf, it } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import type { EngineOptions } from '../../src/core/engine.options.js';
import type { CacheService } from '../../src/core/cache.service.js';
import { MemoryDatabase, MemoryStore } from '../../src/stores/memory/memory.store.js';

const engines: CacheEngine[] = [];
function cacheOn(options: Partial<EngineOptions> = {}): CacheService {
  const engine = new CacheEngine({ store: new MemoryStore(), ...options });
  engines.push(engine);
  engine.open();
  return engine.namespace('default');
}
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.close()));
});

function signal(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

/** Counts how many are waiting for it. Everybody is answered in a later turn. */
class CrowdedStore extends MemoryStore {
  most = 0;
  #waiting = 0;

  override async acquire(...asked: Parameters<MemoryStore['acquire']>): ReturnType<MemoryStore['acquire']> {
    return this.#answer(() => super.acquire(...asked));
  }

  override async fill(...asked: Parameters<MemoryStore['fill']>): ReturnType<MemoryStore['fill']> {
    return this.#answer(() => super.fill(...asked));
  }

  override async write(...asked: Parameters<MemoryStore['write']>): ReturnType<MemoryStore['write']> {
    return this.#answer(() => super.write(...asked));
  }

  async #answer<T>(ask: () => Promise<T>): Promise<T> {
    this.most = Math.max(this.most, ++this.#waiting);
    await new Promise((resolve) => setImmediate(resolve));
    this.#waiting--;
    return ask();
  }
}

describe('CacheService', () => {
  it('loads once for concurrent callers and answers the next from memory', async () => {
    const cache = cacheOn();
    let runs = 0;
    const loader = async (): Promise<{ n: number }> => ({ n: ++runs });
    const values = await Promise.all(Array.from({ length: 20 }, () => cache.getOrSet('k', loader)));
    expect(new Set(values).size).toBe(1);
    expect(runs).toBe(1);
    expect(await cache.getOrSet('k', loader)).toBe(values[0]);
    expect(cache.peek('k')).toBe(values[0]);
    const hit = await cache.get<{ n: number }>('k');
    expect([hit.isFound, hit.tier, hit.value.n, hit.isStale]).toEqual([true, 'memory', 1, false]);
  });

  it('finds falsy and absent values', async () => {
    const cache = cacheOn();
    for (const value of [undefined, null, false, 0, '', -0, Number.NaN]) {
      await cache.set('falsy', value);
      const hit = await cache.get('falsy');
      expect(hit.isFound).toBe(true);
      expect(hit.value).toBe(value);
    }
  });

  it('keeps what it hands out apart from what it was given, and frozen', async () => {
    const cache = cacheOn();
    const own = { list: [1, 2] };
    const first = await cache.getOrSet('k', () => own);
    expect(first).toEqual(own);
    expect(first).not.toBe(own);
    own.list.push(3);
    expect(() => first.list.push(4)).toThrow(TypeError);
    expect(await cache.getOrSet('k', () => own)).toEqual({ list: [1, 2] });
  });

  it('gives private copies under isolation "copy" and for what freezing cannot protect', async () => {
    const cache = cacheOn({ namespaces: [{ name: 'default', isolation: 'copy' }] });
    const a = await cache.getOrSet('k', () => ({ n: 1 }));
    a.n = 2;
    expect(await cache.getOrSet('k', () => ({ n: 9 }))).toEqual({ n: 1 });
    const shared = cacheOn();
    const map = await shared.getOrSet('m', () => new Map([['a', new Date(5)]]));
    map.set('b', new Date(6));
    expect(await shared.getOrSet('m', () => new Map<string, Date>())).toEqual(new Map([['a', new Date(5)]]));
  });

  it('add, touch, has, delete, increment', async () => {
    const cache = cacheOn();
    expect(await cache.add('k', 1)).toBe(true);
    expect(await cache.add('k', 2)).toBe(false);
    expect(await cache.has('k')).toBe(true);
    expect(await cache.touch('k', '1h')).toBe(true);
    expect(await cache.touch('none', '1h')).toBe(false);
    expect(await Promise.all(Array.from({ length: 10 }, () => cache.increment('k')))).toContain(11);
    expect(await cache.decrement('k', 5)).toBe(6);
    expect(await cache.delete('k')).toBe(true);
    expect(await cache.delete('k')).toBe(false);
    expect(await cache.increment('new', 2, { initial: 10 })).toBe(12);
  });

  it('counts nothing that it could not tell from the next number', async () => {
    const cache = cacheOn();
    await cache.set('k', Number.MAX_SAFE_INTEGER - 1);
    expect(await cache.increment('k')).toBe(Number.MAX_SAFE_INTEGER);
    await expect(cache.increment('k')).rejects.toMatchObject({ code: 'not_a_number' });
    await expect(cache.increment('new', Number.MAX_VALUE, { initial: Number.MAX_VALUE })).rejects.toMatchObject({
      code: 'not_a_number',
    });
    expect(await cache.increment('share', 0.25)).toBe(0.25);
  });

  it('clears a namespace in one step and nothing else', async () => {
    const cache = cacheOn({ namespaces: [{ name: 'default' }, { name: 'other' }] });
    const other = cache.namespace('other');
    await cache.setMany([
      ['a', 1],
      ['b', 2],
    ]);
    await other.set('a', 3);
    await cache.clear();
    expect((await cache.getMany(['a', 'b'])).map((hit) => hit.isFound)).toEqual([false, false]);
    expect((await other.get('a')).value).toBe(3);
    expect(await cache.add('a', 4)).toBe(true);
  });

  it('invalidates by tag and by declared prefix', async () => {
    const cache = cacheOn({ namespaces: [{ name: 'default', prefixes: ['list:', ['course']] }] });
    await cache.set('x', 1, { tags: ['book:42'] });
    await cache.set('y', 2, { tags: ['book:43'] });
    await cache.invalidateTags(['book:42']);
    expect((await cache.get('x')).isFound).toBe(false);
    expect((await cache.get('y')).value).toBe(2);
    await cache.setMany([
      ['list:1', 1],
      [['course', 7], 1],
      [['courses', 7], 1],
    ]);
    await cache.deleteByPrefix('list:');
    await cache.deleteByPrefix(['course']);
    expect((await cache.getMany(['list:1', ['course', 7], ['courses', 7]])).map((hit) => hit.isFound)).toEqual([
      false,
      false,
      true,
    ]);
    await expect(cache.deleteByPrefix('other')).rejects.toMatchObject({ code: 'undeclared_prefix' });
  });

  it('expire keeps the stale value, and the next caller refreshes it', async () => {
    const cache = cacheOn();
    await cache.set('k', 'old');
    expect(await cache.expire('k')).toBe(true);
    const hit = await cache.get('k');
    expect([hit.value, hit.isStale]).toEqual(['old', true]);
    expect(await cache.getOrSet('k', ({ stale }) => `new after ${String(stale?.value)}`)).toBe('new after old');
    expect((await cache.get('k')).isStale).toBe(false);
  });

  it('peeks at keys so long that they are kept under a digest', async () => {
    const cache = cacheOn();
    for (const key of ['k'.repeat(300), 'é'.repeat(20), ['k'.repeat(300)]]) {
      await cache.set(key, 'there');
      expect(cache.peek(key)).toBe('there');
      if (typeof key === 'string') expect(cache.peekEntry(key)?.value).toBe('there');
    }
  });

  it('expire is felt at once, however long the turn of the event loop', async () => {
    const cache = cacheOn();
    await cache.set('k', 'old');
    expect(await cache.getOrSet('k', () => 'unused')).toBe('old');
    // The clock that hits look at is now behind, as after a turn that has worked for long.
    for (const end = performance.now() + 150; performance.now() < end;);
    await cache.expire('k');
    expect((await cache.get('k')).isStale).toBe(true);
    expect(await cache.getOrSet('k', () => 'new')).toBe('new');
  });

  it('getOrSetMany asks once for exactly the missing ids, keeps order, ignores what nobody asked for', async () => {
    const cache = cacheOn();
    await cache.set(['book', 2], 'two');
    const asked: number[][] = [];
    const loader = async (missing: number[]): Promise<Map<number, string>> => {
      asked.push(missing);
      return new Map([
        [99, 'unasked'],
        [3, 'three'],
        [1, 'one'],
      ]);
    };
    const options = { key: (id: number) => ['book', id] };
    const result = await cache.getOrSetMany([3, 2, 1, 3, 4], loader, options);
    expect([...result]).toEqual([
      [3, 'three'],
      [2, 'two'],
      [1, 'one'],
    ]);
    expect(asked).toEqual([[3, 1, 4]]);
    expect((await cache.get(['book', 99])).isFound).toBe(false);
    await cache.getOrSetMany([1, 4], loader, options);
    expect(asked[1]).toEqual([4]);
  });

  it('asks the store for very many entries in portions, so that it has answered each before its deadline', async () => {
    const store = new CrowdedStore();
    const cache = cacheOn({ store });
    await cache.get('warm');
    const ids = Array.from({ length: 1100 }, (_, i) => `k${i}`);
    const asked: string[][] = [];
    const loader = async (missing: string[]): Promise<Array<[string, string]>> => {
      asked.push(missing);
      return missing.filter((id) => id !== 'k7').map((id) => [id, id]);
    };
    expect([...(await cache.getOrSetMany(ids, loader)).keys()]).toEqual(ids.filter((id) => id !== 'k7'));
    expect(asked).toEqual([ids]);
    expect(store.most).toBeLessThanOrEqual(250);
    expect((await cache.getMany(ids)).filter(({ isFound }) => isFound)).toHaveLength(1099);

    expect(await cache.setMany(ids.map((id) => [id, 'new']))).toBe(true);
    expect(store.most).toBeLessThanOrEqual(250);
    expect(cache.stats()).toMatchObject({ storeFailures: 0, queued: 0 });
  });

  it('getOrSetMany ends, however many ids, where the store fails or a loader does', async () => {
    const ids = Array.from({ length: 600 }, (_, i) => i);
    const down = cacheOn({
      store: Object.assign(new MemoryStore(), { acquire: () => Promise.reject(new Error('down')) }),
    });
    expect((await down.getOrSetMany(ids, (missing) => missing.map((id) => [id, id] as const))).size).toBe(600);
    const failing = cacheOn();
    await expect(
      failing.getOrSetMany(ids, () => {
        throw new Error('upstream');
      }),
    ).rejects.toThrow('upstream');
    // Those of the first portion are over by the time that there is an answer.
    const late = cacheOn();
    const isOver = signal();
    const slowly = async (missing: number[]): Promise<Map<number, number>> => {
      await isOver.promise;
      return new Map(missing.map((id) => [id, id]));
    };
    const options = { hardTimeout: 5, onLoadError: isOver.resolve };
    await expect(late.getOrSetMany(ids, slowly, options)).rejects.toThrow('hardTimeout');
  });

  it('a failing loader runs once for its concurrent callers, and is not remembered', async () => {
    const cache = cacheOn();
    let runs = 0;
    const calls = await Promise.allSettled(
      Array.from({ length: 10 }, () =>
        cache.getOrSet('k', async () => {
          runs++;
          throw new Error('upstream');
        }),
      ),
    );
    expect(calls.every((call) => call.status === 'rejected')).toBe(true);
    expect(runs).toBe(1);
    expect(await cache.getOrSet('k', () => 'ok')).toBe('ok');
  });

  it('a key deleted elsewhere while it is loaded here takes no new callers on the old flight, even if it had no entry yet', async () => {
    const database = new MemoryDatabase();
    const [here, elsewhere] = [0, 1].map(() => cacheOn({ store: new MemoryStore({ database }) })) as [
      CacheService,
      CacheService,
    ];
    let truth = 'old';
    const loading = signal();
    const mayEnd = signal();
    const first = here.getOrSet('k', async () => {
      const value = truth;
      loading.resolve();
      await mayEnd.promise;
      return value;
    });
    await loading.promise;
    truth = 'new';
    await elsewhere.delete('k');
    expect(await here.getOrSet('k', () => truth)).toBe('new');
    mayEnd.resolve();
    expect(await first).toBe('old');
    expect(await here.getOrSet('k', () => 'third')).toBe('new');
  });

  it('a reading under way when the stamp changes finds and fills nothing', async () => {
    const database = new MemoryDatabase();
    const [isAsked, mayAnswer] = [signal(), signal()];
    const slow = new MemoryStore({ database });
    const read = slow.read.bind(slow);
    const elsewhere = cacheOn({ store: new MemoryStore({ database }) });
    await elsewhere.set('k', 'old shape');
    const here = cacheOn({ store: slow });
    slow.read = async (keys) => {
      const frames = await read(keys);
      isAsked.resolve();
      await mayAnswer.promise;
      return frames;
    };
    const reading = here.get('k');
    await isAsked.promise;
    await here.setStamp('2');
    mayAnswer.resolve();
    expect((await reading).isFound).toBe(false);
    expect(here.peek('k')).toBeUndefined();
    expect(await here.getOrSet('k', () => 'new shape')).toBe('new shape');
  });

  it('explains where an entry is', async () => {
    const cache = cacheOn();
    await cache.set('k', 1, { ttl: '1m', tags: ['t'] });
    expect(await cache.explain('k')).toMatchObject({
      key: 'k',
      memory: { ageMs: expect.any(Number) },
      remote: { state: 'fresh', tags: ['ns:default', 'tag:t'] },
      isLoading: false,
    });
    expect(await cache.explain('absent')).toMatchObject({ memory: undefined, remote: { state: 'absent' } });
  });

  it('knows the type of what a loader returns that uses what it is told', async () => {
    const cache = cacheOn();
    const options = { ttl: (book: { id: number }) => book.id * 60_000 };
    const book = await cache.getOrSet('k', ({ signal }) => ({ id: signal.aborted ? 0 : 1 }), options);
    expectTypeOf(book).toEqualTypeOf<{ id: number }>();
    const again = await cache.getOrSet('k', async (context) => (context.skip(), { id: 2 }), {
      tags: ({ id }) => [`b${id}`],
    });
    expectTypeOf(again).toEqualTypeOf<{ id: number }>();
    const fresh = await cache.getOrSet<{ id: number }>('k', (context) => context.stale?.value ?? context.notModified());
    expectTypeOf(fresh).toEqualTypeOf<{ id: number }>();
    expect([book, again, fresh]).toEqual([{ id: 1 }, { id: 1 }, { id: 1 }]);
  });

  it('passes every call through when disabled', async () => {
    const cache = cacheOn({ enabled: false });
    let runs = 0;
    await cache.getOrSet('k', () => ++runs);
    expect(await cache.getOrSet('k', () => ++runs)).toBe(2);
    expect(await cache.set('k', 1)).toBe(false);
    expect((await cache.get('k')).isFound).toBe(false);
  });

  it('getOrSetMany keeps to the options of the call when disabled, and asks for nothing when nothing is missing', async () => {
    const cache = cacheOn({
      enabled: false,
      namespaces: [{ name: 'default', shouldCache: (book) => (book as { n: number }).n > 0 }],
    });
    const loader = async (missing: number[]): Promise<Array<[number, { n: number }]>> => missing.map((n) => [n, { n }]);
    const tags = ({ n }: { n: number }): string[] => [`t${n}`];
    expect([...(await cache.getOrSetMany([2, 1], loader, { tags }))]).toEqual([
      [2, { n: 2 }],
      [1, { n: 1 }],
    ]);
    const hang = (): Promise<never> => new Promise(() => undefined);
    expect((await cache.getOrSetMany([], hang)).size).toBe(0);
    await expect(cache.getOrSetMany([1], hang, { hardTimeout: 5 })).rejects.toMatchObject({ code: 'load_timeout' });
    const signal = AbortSignal.abort(new Error('gone'));
    await expect(cache.getOrSetMany([1], loader, { signal })).rejects.toThrow('gone');
    await expect(cache.getOrSetMany([1], loader, { ttl: 'soon' as never })).rejects.toMatchObject({
      code: 'invalid_duration',
    });
  });
});
