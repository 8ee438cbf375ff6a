import { afterAll, describe, expect, it } from 'vitest';
import type { CallOptions, LoadContext, NamespaceOptions } from '../../src/core/cache.options.js';
import type { CacheService } from '../../src/core/cache.service.js';
import type { Clock } from '../../src/core/clock/clock.js';
import { until } from '../faults/subject.js';
import { SteppedClock } from '../races/stepped.clock.js';
import { codesOf, FLEETS, Gate, memoryFleet, never, stopFleets } from './fleet.js';
import type { Member } from './fleet.js';

afterAll(stopFleets);

const fail = (): never => {
  throw Object.assign(new Error('upstream'), { code: 'upstream' });
};

/** All that can happen without time passing has happened. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Two processes on one store, in time that stands still. */
async function world(
  settings: Omit<NamespaceOptions, 'name'> = {},
): Promise<{ clock: SteppedClock; a: Member; b: Member }> {
  const clock = new SteppedClock();
  const fleet = memoryFleet(clock);
  const namespaces = [{ name: 'default', ...settings }];
  return { clock, a: await fleet.join({ namespaces }), b: await fleet.join({ namespaces }) };
}

async function lives(cache: CacheService, key = 'k'): Promise<{ ttl: number; freshFor: number } | undefined> {
  const { remote } = await cache.explain(key);
  return 'freshForMs' in remote ? { ttl: remote.expiresInMs, freshFor: remote.freshForMs } : undefined;
}

describe('eagerRefresh', () => {
  it.each(['of the call', 'of the namespace'])(
    '%s: past its fraction one refresh runs behind callers who get the fresh value',
    async (where) => {
      const options: CallOptions<string> = {
        ttl: '1h',
        freshFor: '10s',
        ...(where === 'of the call' && { eagerRefresh: 0.5 }),
      };
      const { clock, a, b } = await world(where === 'of the call' ? {} : { eagerRefresh: 0.5 });
      await a.cache.getOrSet('k', () => 'old', options);
      clock.advance(4999);
      for (const { cache } of [a, b]) expect(await cache.getOrSet('k', never, options)).toBe('old');
      clock.advance(1);
      const gate = new Gate<string>();
      for (const { cache } of [a, b, a, b]) expect(await cache.getOrSet('k', gate.load, options)).toBe('old');
      await settled();
      gate.open('new');
      await settled();
      for (const { cache } of [a, b]) expect(await cache.getOrSet('k', never, options)).toBe('new');
      expect(gate.runs).toBe(1);
    },
  );

  it('keeps to the back-off when it fails: the value stays, fresh, and is not tried again before', async () => {
    const { clock, a, b } = await world({ eagerRefresh: 0.5, backOff: '3s', freshFor: '10s', ttl: '1h' });
    await a.cache.set('k', 'old');
    clock.advance(6000);
    let attempts = 0;
    const failing = (): never => (attempts++, fail());
    for (let ms = 0; ms < 3000; ms += 500) {
      for (const { cache } of [a, b]) expect(await cache.getOrSet('k', failing)).toBe('old');
      await settled();
      clock.advance(500);
    }
    expect(attempts).toBe(1);
  });
});

describe('lifetimes', () => {
  it('may be functions of the value, as tags may', async () => {
    const { a } = await world();
    const options: CallOptions<{ n: number }> = {
      ttl: ({ n }) => n * 1000,
      freshFor: ({ n }) => n * 100,
      tags: ({ n }) => [`n:${n}`],
    };
    await a.cache.getOrSet('k', () => ({ n: 7 }), options);
    expect(await lives(a.cache)).toEqual({ ttl: 7000, freshFor: 700 });
    await a.cache.invalidateTags(['n:7']);
    expect(await a.cache.has('k')).toBe(false);
    await a.cache.getOrSet('none', () => ({ n: 0 }), options);
    expect(await a.cache.has('none')).toBe(false);
  });

  it('a function that returns no lifetime is an error of use, and frees the key', async () => {
    const { a, b } = await world();
    await expect(a.cache.getOrSet('k', () => 1, { ttl: () => 'soon' as '1s' })).rejects.toMatchObject({
      code: 'invalid_duration',
    });
    expect(await b.cache.getOrSet('k', () => 2, { onCold: 'throw' })).toBe(2);
  });

  it('setTtl wins over all others; 0 stores nothing', async () => {
    const { a } = await world({ jitter: 0.5, negativeTtl: '1s' });
    await a.cache.getOrSet('k', (context) => (context.setTtl('1m', '10s'), null), { ttl: '2h' });
    expect(await lives(a.cache)).toEqual({ ttl: 60_000, freshFor: 10_000 });
    expect(await a.cache.getOrSet('none', (context) => (context.setTtl(0), 'v'))).toBe('v');
    expect(await a.cache.has('none')).toBe(false);
  });

  it.each([
    [null, 1000],
    [undefined, 1000],
    [false, 60_000],
    [0, 60_000],
    ['', 60_000],
  ])('negativeTtl is for nothing found: %j lives %i ms', async (value, ttl) => {
    const { a } = await world({ ttl: '1m', negativeTtl: '1s' });
    await a.cache.getOrSet('k', () => value);
    expect(await lives(a.cache)).toEqual({ ttl, freshFor: ttl });
  });

  it('negativeTtl 0 stores no nothing', async () => {
    const { a } = await world({ negativeTtl: 0 });
    expect(await a.cache.getOrSet('k', () => null)).toBe(null);
    expect(await a.cache.has('k')).toBe(false);
  });

  it('jitter shortens by at most its fraction, differently each time', async () => {
    const { a } = await world({ jitter: 0.2, ttl: 10_000, freshFor: 1000 });
    const seen = new Set<number>();
    for (let i = 0; i < 50; i++) {
      await a.cache.getOrSet(`k${i}`, () => i);
      const { ttl, freshFor } = (await lives(a.cache, `k${i}`)) as { ttl: number; freshFor: number };
      expect(ttl).toBeGreaterThanOrEqual(8000);
      expect(ttl).toBeLessThanOrEqual(10_000);
      expect(freshFor).toBeCloseTo(ttl / 10, 3);
      seen.add(ttl);
    }
    expect(seen.size).toBeGreaterThan(40);
  });

  it('jitter is never applied to a stale value that is used again', async () => {
    const { a } = await world({ jitter: 0.9, ttl: '1h', freshFor: '10s', backOff: '2s' });
    for (let round = 0; round < 20; round++) {
      const key = `failed ${round}`;
      await a.cache.set(key, 'old');
      const before = (await lives(a.cache, key)) as { ttl: number };
      await a.cache.expire(key);
      expect(await a.cache.getOrSet(key, fail)).toBe('old');
      expect(await lives(a.cache, key)).toEqual({ ttl: before.ttl, freshFor: 2000 });
    }
    for (let round = 0; round < 20; round++) {
      const key = `not modified ${round}`;
      await a.cache.set(key, 'old');
      await a.cache.expire(key);
      expect(await a.cache.getOrSet(key, (context: LoadContext<string>) => context.notModified())).toBe('old');
      expect(await lives(a.cache, key)).toEqual({ ttl: 3_600_000, freshFor: 10_000 });
    }
  });
});

describe('what is not stored', () => {
  it.each([
    ['shouldCache says no', never, { shouldCache: (value: string) => value !== 'v' }],
    ['the loader skips', (context: LoadContext<string>) => context.skip(), {}],
  ])('%s: answered, not stored, the key free', async (_, act, options) => {
    const { a, b } = await world();
    const load = (context: LoadContext<string>): string => {
      if (act !== never) act(context);
      return 'v';
    };
    expect(await a.cache.getOrSet('k', load, options)).toBe('v');
    expect([a.cache.peek('k'), (await b.cache.get('k')).isFound]).toEqual([undefined, false]);
    expect(await b.cache.getOrSet('k', () => 'w', { onCold: 'throw' })).toBe('w');
    expect(a.cache.stats().fenced).toBe(0);
  });

  it.each<[string, CallOptions<{ id: number } | null>]>([
    ['vetoed', { shouldCache: (value) => value !== null }],
    ['skipped', {}],
    ['without a life', { ttl: 0 }],
  ])('what is %s is not asked for labels and lifetimes', async (how, options) => {
    const { a } = await world();
    const load = (context: LoadContext<{ id: number } | null>): null => {
      if (how === 'skipped') context.skip();
      return null;
    };
    const asked = { tags: (value: { id: number } | null) => [`book:${value!.id}`] };
    expect(await a.cache.getOrSet('k', load, { ...asked, ...options })).toBeNull();
    expect((await a.cache.get('k')).isFound).toBe(false);
  });

  it('a refresh that is not to be stored leaves the stale value to be refreshed by the next', async () => {
    const { a, b } = await world();
    await a.cache.set('k', 'old');
    await a.cache.expire('k');
    expect(await a.cache.getOrSet('k', () => 'bad', { shouldCache: () => false })).toBe('bad');
    expect((await b.cache.get('k')).value).toBe('old');
    expect(await b.cache.getOrSet('k', () => 'good')).toBe('good');
  });
});

describe('notModified', () => {
  it('gives the stale value a new life, its old tags included', async () => {
    const { clock, a, b } = await world({ ttl: '1h', freshFor: '10s' });
    await a.cache.getOrSet('k', (context) => (context.setTags(['t']), { etag: 7 }));
    clock.advance(30_000);
    const seen: unknown[] = [];
    const again = await b.cache.getOrSet('k', (context: LoadContext<{ etag: number }>) => {
      seen.push(context.stale);
      return context.notModified();
    });
    expect(again).toEqual({ etag: 7 });
    expect(seen).toMatchObject([{ value: { etag: 7 }, ageMs: 30_000 }]);
    expect(await lives(b.cache)).toEqual({ ttl: 3_600_000, freshFor: 10_000 });
    expect(await a.cache.getOrSet('k', never)).toEqual({ etag: 7 });
    await a.cache.invalidateTags(['t']);
    expect(await b.cache.has('k')).toBe(false);
  });

  it('does not bring back a value whose tag was invalidated meanwhile', async () => {
    const { clock, a, b } = await world({ ttl: '1h', freshFor: '10s' });
    await a.cache.getOrSet('k', (context) => (context.setTags(['t']), 'old'));
    clock.advance(30_000);
    const gate = new Gate<void>();
    const refresh = b.cache.getOrSet('k', async (context: LoadContext<string>) => {
      await gate.load();
      return context.notModified();
    });
    await gate.begun;
    await a.cache.invalidateTags(['t']);
    gate.open();
    expect(await refresh).toBe('old');
    for (const { cache } of [a, b]) expect(await cache.has('k')).toBe(false);
  });

  it('is refused without a stale value', async () => {
    const { a } = await world();
    await expect(a.cache.getOrSet('k', (context) => context.notModified())).rejects.toMatchObject({
      code: 'nothing_stale',
    });
  });
});

it('what was expired is stale to a process whose clock has fallen behind since it was compared with the store', async () => {
  const clock = new SteppedClock();
  const fleet = memoryFleet(clock);
  let behindMs = 0;
  const slow: Clock = { now: () => clock.now() - behindMs, after: (ms, run) => clock.after(ms, run) };
  const [a, b] = [await fleet.join(), await fleet.join({ clock: slow })];
  await a.cache.set('k', 'old', { ttl: '1h' });
  behindMs = 5;
  await a.cache.expire('k');
  expect((await b.cache.get('k')).isStale).toBe(true);
});

it('what is kept because its refresh failed is told as stale by a read, though it is not tried again yet', async () => {
  const { clock, a, b } = await world({ ttl: '1h', freshFor: '10s', backOff: '2s' });
  await a.cache.set('k', 'old');
  clock.advance(10_000);
  expect(await a.cache.getOrSet('k', fail)).toBe('old');
  for (const { cache } of [a, a, b]) {
    const read = await cache.get('k');
    expect([read.value, read.isStale]).toEqual(['old', true]);
  }
  expect(await a.cache.getOrSet('k', never)).toBe('old');
});

describe('errorTtl', () => {
  it('remembers a failure for this process, for as long as it says', async () => {
    const { clock, a } = await world();
    let attempts = 0;
    const failing = (): never => (attempts++, fail());
    const call = (member: Member): Promise<unknown[]> =>
      codesOf([member.cache.getOrSet('k', failing, { errorTtl: '10s' })]);
    expect(await call(a)).toEqual(['upstream']);
    clock.advance(9999);
    expect(await call(a)).toEqual(['upstream']);
    expect(attempts).toBe(1);
    clock.advance(1);
    await call(a);
    expect(attempts).toBe(2);
  });

  it.each(FLEETS)('is not forgotten for a failure of another process, on $name', async ({ open }) => {
    const fleet = await open();
    const members = [await fleet.join(), await fleet.join()];
    let attempts = 0;
    const failing = (): never => (attempts++, fail());
    for (let round = 0; round < 10; round++) {
      for (const { cache, engine } of members) {
        expect(await codesOf([cache.getOrSet('k', failing, { errorTtl: '1m' })])).toEqual(['upstream']);
        await until(async () => !(await fleet.isLeased('k')), 2000);
        await engine.guard.run('now', engine.guard.budget(), (store) => store.now());
      }
    }
    expect(attempts).toBe(2);
  });

  it('may depend on the error, and is off by default', async () => {
    const { a } = await world();
    let attempts = 0;
    const failing = (code: string) => (): never => {
      attempts++;
      throw Object.assign(new Error('upstream'), { code });
    };
    const errorTtl = (error: unknown): number => ((error as { code: string }).code === 'not_found' ? 1000 : 0);
    for (let i = 0; i < 2; i++) await codesOf([a.cache.getOrSet('gone', failing('not_found'), { errorTtl })]);
    expect(attempts).toBe(1);
    for (let i = 0; i < 2; i++) await codesOf([a.cache.getOrSet('busy', failing('timeout'), { errorTtl })]);
    expect(attempts).toBe(3);
    for (let i = 0; i < 2; i++) await codesOf([a.cache.getOrSet('plain', failing('not_found'))]);
    expect(attempts).toBe(5);
  });

  it.each(['set', 'delete', 'clear', 'forceFresh'] as const)('is forgotten by %s', async (how) => {
    const { a, b } = await world({ errorTtl: '1h' });
    await codesOf([a.cache.getOrSet('k', fail)]);
    expect(await codesOf([a.cache.getOrSet('k', () => 'v')])).toEqual(['upstream']);
    if (how === 'set') await b.cache.set('k', 'v');
    if (how === 'delete') await a.cache.delete('k');
    if (how === 'clear') await b.cache.clear();
    expect(await a.cache.getOrSet('k', () => 'v', { forceFresh: how === 'forceFresh' })).toBe('v');
  });
});

describe('maxConcurrentLoads', () => {
  it('lets so many loaders run at a time, the others in the order they came', async () => {
    const { a } = await world({ maxConcurrentLoads: 2 });
    const gates = Array.from({ length: 5 }, () => new Gate<number>());
    const calls = gates.map((gate, i) => a.cache.getOrSet(`k${i}`, gate.load));
    const running = (): number[] => gates.map((gate) => gate.runs);
    await settled();
    expect(running()).toEqual([1, 1, 0, 0, 0]);
    gates[1]?.open(1);
    await settled();
    expect(running()).toEqual([1, 1, 1, 0, 0]);
    gates.forEach((gate, i) => gate.open(i));
    expect(await Promise.all(calls)).toEqual([0, 1, 2, 3, 4]);
  });

  it('a failing loader gives its turn back', async () => {
    const { a } = await world({ maxConcurrentLoads: 1 });
    expect(await codesOf([1, 2, 3].map((i) => a.cache.getOrSet(`k${i}`, fail)))).toEqual([
      'upstream',
      'upstream',
      'upstream',
    ]);
    expect(await a.cache.getOrSet('k', () => 'v')).toBe('v');
  });

  it('who finds no turn gets the stale value, else an error: at once with onCold throw, else after waitBudget', async () => {
    const { clock, a, b } = await world({ maxConcurrentLoads: 1, waitBudget: '10s' });
    await a.cache.set('stale', 'old');
    await a.cache.expire('stale');
    const gate = new Gate<string>();
    const first = a.cache.getOrSet('busy', gate.load);
    await gate.begun;
    expect(await codesOf([a.cache.getOrSet('k', never, { onCold: 'throw' })])).toEqual(['cold_cache']);
    const [waiting, refreshing] = [a.cache.getOrSet('k', never), a.cache.getOrSet('stale', never)];
    await settled();
    clock.advance(10_000);
    expect(await codesOf([waiting, refreshing])).toEqual(['cold_cache', 'old']);
    expect(a.cache.stats().loadErrors).toBe(0);
    // Another process has turns of its own, and nobody is in its way.
    expect(await b.cache.getOrSet('k', () => 'v', { onCold: 'throw' })).toBe('v');
    expect(await b.cache.getOrSet('stale', () => 'new', { onCold: 'throw' })).toBe('new');
    gate.open('done');
    expect(await first).toBe('done');
  });

  it('getOrSetMany takes one turn for all of its ids', async () => {
    const { a } = await world({ maxConcurrentLoads: 1 });
    const gate = new Gate<Map<number, string>>();
    const batch = a.cache.getOrSetMany([1, 2, 3], gate.load);
    await gate.begun;
    let runs = 0;
    const single = a.cache.getOrSet('k', () => (runs++, 'v'));
    const other = a.cache.getOrSetMany([3, 4], async (ids) => new Map(ids.map((id) => [id, `own ${id} ${runs++}`])));
    await settled();
    expect(runs).toBe(0);
    gate.open(new Map([1, 2, 3].map((id) => [id, `v${id}`])));
    expect([...(await batch).values()]).toEqual(['v1', 'v2', 'v3']);
    expect(await single).toBe('v');
    expect([...(await other).values()]).toEqual(['v3', 'own 4 1']);
    expect(gate.runs).toBe(1);
  });
});

describe('getOrSetMany with stale values', () => {
  it.each([
    ['stale here', { softTimeout: 0 }, 10_000],
    ['due for an early refresh', { eagerRefresh: 0.5 }, 5000],
  ])('refreshes those %s behind the caller by one call of the loader', async (_, options, ageMs) => {
    const { clock, a } = await world({ ttl: '1h', freshFor: '10s' });
    const ids = [1, 2, 3, 4];
    for (const id of ids) await a.cache.set([id], `old ${id}`);
    clock.advance(ageMs);
    const asked: number[][] = [];
    const load = async (missing: number[]): Promise<Map<number, string>> => {
      asked.push(missing);
      return new Map(missing.map((id) => [id, `new ${id}`]));
    };
    expect([...(await a.cache.getOrSetMany(ids, load, options)).values()]).toEqual(ids.map((id) => `old ${id}`));
    await a.engine.drain();
    expect(asked).toEqual([ids]);
    expect((await a.cache.getMany(ids.map((id) => [id]))).map((hit) => hit.value)).toEqual(
      ids.map((id) => `new ${id}`),
    );
  });
});
