import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CacheEngine } from '../../src/core/cache-engine.js';
import type { CacheService } from '../../src/core/cache.service.js';
import { RequestScope } from '../../src/core/tiers/request.scope.js';
import { RedisServer } from '../servers/redis.server.js';
import { heard, openEngine, until } from './subject.js';

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());

/** Two processes' worth of engines that hear each other, on an empty server. */
async function pair(): Promise<{ here: CacheService; there: CacheService; engines: [CacheEngine, CacheEngine] }> {
  await server.command('FLUSHALL');
  const engines = await Promise.all([heard(openEngine(server.url)), heard(openEngine(server.url))]);
  const [here, there] = engines.map((engine) => engine.namespace('default'));
  return { here: here as CacheService, there: there as CacheService, engines };
}

/** A loader that runs until it is let go. */
function held<T>(value: T): { load: () => Promise<T>; running: Promise<void>; finish: () => void } {
  let begun = (): void => undefined;
  let finish = (): void => undefined;
  const running = new Promise<void>((resolve) => (begun = resolve));
  const gate = new Promise<void>((resolve) => (finish = resolve));
  const load = async (): Promise<T> => {
    begun();
    await gate;
    return value;
  };
  return { load, running, finish };
}

const ACTORS = ['this process', 'another process'] as const;

describe.each(ACTORS)('while a loader runs here, %s', (actor) => {
  it('deletes: the old value is not found afterwards, anywhere', async () => {
    const { here, there } = await pair();
    const old = held('old');
    const loading = here.getOrSet('k', old.load);
    await old.running;
    await (actor === 'this process' ? here : there).delete('k');
    old.finish();
    expect(await loading).toBe('old');
    for (const cache of [here, there]) expect((await cache.get('k')).isFound).toBe(false);
    expect(await there.getOrSet('k', () => 'new')).toBe('new');
    expect(await here.getOrSet('k', () => 'newer')).toBe('new');
  });

  it('deletes: a reader that arrives afterwards does not join the old load', async () => {
    const { here, there, engines } = await pair();
    const old = held('old');
    const loading = here.getOrSet('k', old.load);
    await old.running;
    await (actor === 'this process' ? here : there).delete('k');
    if (actor === 'another process') await until(() => engines[0].inspect().flights === 0, 1000);
    expect(await here.getOrSet('k', () => 'new')).toBe('new');
    expect(await there.getOrSet('k', () => 'newer')).toBe('new');
    old.finish();
    expect(await loading).toBe('old');
    for (const cache of [here, there]) expect((await cache.get('k')).value).toBe('new');
  });

  it('sets: what was set wins', async () => {
    const { here, there, engines } = await pair();
    const old = held('old');
    const loading = here.getOrSet('k', old.load);
    await old.running;
    expect(await (actor === 'this process' ? here : there).set('k', 'set')).toBe(true);
    if (actor === 'another process') await until(() => engines[0].inspect().flights === 0, 1000);
    for (const cache of [here, there]) expect((await cache.get('k')).value).toBe('set');
    old.finish();
    expect(await loading).toBe('old');
    for (const cache of [here, there]) expect(await cache.getOrSet('k', () => 'loaded')).toBe('set');
  });

  it.each(['clear', 'invalidateTags'] as const)('calls %s: the old value is not found afterwards', async (method) => {
    const { here, there } = await pair();
    const old = held('old');
    const loading = here.getOrSet('k', old.load, { tags: ['t'] });
    await old.running;
    const other = actor === 'this process' ? here : there;
    await (method === 'clear' ? other.clear() : other.invalidateTags(['t']));
    old.finish();
    expect(await loading).toBe('old');
    await until(async () => !(await here.get('k')).isFound, actor === 'this process' ? 0 : 1000);
    expect((await there.get('k')).isFound).toBe(false);
  });
});

describe('a loader that fails', () => {
  it('runs once for ten callers, and all of them are told', async () => {
    const { here, there, engines } = await pair();
    let runs = 0;
    const error = new Error('no');
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, () =>
        here.getOrSet('k', async () => {
          runs++;
          await Promise.resolve();
          throw error;
        }),
      ),
    );
    expect(runs).toBe(1);
    expect(outcomes).toEqual(Array.from({ length: 10 }, () => ({ status: 'rejected', reason: error })));
    expect(await there.getOrSet('k', () => 'fine')).toBe('fine');
    for (const engine of engines) expect(engine.inspect()).toMatchObject({ flights: 0, waiting: 0, watched: 0 });
  });
});

describe('mutation of a result', () => {
  interface Book {
    title: string;
    tags: string[];
    seen: Map<string, number>;
  }

  it('throws, on the miss as on the hit, and reaches nobody', async () => {
    const { here, there } = await pair();
    const mine = { title: 'a', tags: ['x'] };
    const loaded = await here.getOrSet('k', () => mine);
    expect(loaded).not.toBe(mine);
    for (const book of [loaded, await here.getOrSet('k', () => mine), await there.getOrSet('k', () => mine)]) {
      expect(() => (book.title = 'b')).toThrow(TypeError);
      expect(() => book.tags.push('y')).toThrow(TypeError);
    }
    mine.tags.push('mine is mine');
    for (const cache of [here, there]) expect((await cache.get('k')).value).toEqual({ title: 'a', tags: ['x'] });
  });

  it('of what cannot be frozen stays with the reader', async () => {
    const { here, there } = await pair();
    const make = (): Book => ({ title: 'a', tags: [], seen: new Map([['x', 1]]) });
    const first = await here.getOrSet('k', make);
    first.seen.set('y', 2);
    first.tags.push('mine');
    for (const cache of [here, here, there, there]) {
      const book = await cache.getOrSet('k', make);
      expect(book).toEqual(make());
      book.seen.clear();
    }
  });

  it('stays with the reader under isolation: copy', async () => {
    await server.command('FLUSHALL');
    const engine = await heard(openEngine(server.url, { namespaces: [{ name: 'copies', isolation: 'copy' }] }));
    const cache = engine.namespace('copies');
    for (let i = 0; i < 3; i++) {
      const value = await cache.getOrSet('k', () => ({ list: [1] }));
      expect(value).toEqual({ list: [1] });
      value.list.push(2);
    }
  });
});

describe('values', () => {
  const values: Record<string, unknown> = {
    undefined: undefined,
    null: null,
    Date: new Date(1234567890123),
    Map: new Map<unknown, unknown>([
      ['k', new Map([[1, undefined]])],
      [{ object: 1 }, new Date(0)],
    ]),
    Set: new Set([1, 'a', null]),
    BigInt: 2n ** 80n,
    Buffer: Buffer.from([0, 255, 13, 10]),
    NaN: Number.NaN,
    '-0': -0,
    'all together': {
      u: undefined,
      n: null,
      d: new Date(1),
      m: new Map([['b', 1n]]),
      b: Buffer.from('x'),
      list: [Number.NaN, -0, undefined],
    },
  };

  it.each(Object.keys(values))('%s is the same from every tier', async (name) => {
    const value = values[name];
    await server.command('FLUSHALL');
    const scope = new RequestScope();
    const here = (await heard(openEngine(server.url))).namespace('default');
    const engine = await heard(openEngine(server.url, { requestScope: () => scope }));
    const there = engine.namespace('default');
    const never = (): never => {
      throw new Error('the loader must not run');
    };

    expect(await here.getOrSet('k', () => value)).toStrictEqual(value);
    // The store's report of our own fill may come between.
    await until(async () => (await here.get('k')).tier === 'memory', 1000);
    expect((await here.get('k')).value).toStrictEqual(value);
    for (const tier of ['remote', 'request']) {
      const response = await there.get('k');
      expect(response.tier).toBe(tier);
      expect(response.value).toStrictEqual(value);
    }
    scope.clear();
    expect((await there.get('k')).tier).toBe('memory');
    expect(await here.getOrSet('k', never)).toStrictEqual(value);
    expect(await there.getOrSet('k', never)).toStrictEqual(value);
    expect(there.peek('k')).toStrictEqual(value);

    await here.set('set', value);
    expect((await here.get('set')).value).toStrictEqual(value);
    expect((await there.get('set')).value).toStrictEqual(value);
  });
});
