import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/core/errors/cache.error.js';
import type { CacheStore } from '../../src/stores/contract/cache-store.js';
import { until } from '../faults/subject.js';
import { codesOf, FLEETS, Gate, never, openPair, stopFleets } from './fleet.js';
import type { Fleet, Member } from './fleet.js';

afterAll(stopFleets);

/** The table of function caching (django-function-caching's README and what it lacks). F15 and F16 are about the decorator. */
describe.each(FLEETS)('function caching on $name', ({ open }) => {
  let fleet: Fleet;
  let a: Member;
  let b: Member;

  beforeEach(async () => {
    ({ fleet, a, b } = await openPair(open));
  });

  /** There is a stale value 'old' in the store. */
  async function makeStale(key: string): Promise<void> {
    await a.cache.set(key, 'old');
    await a.cache.expire(key);
    await until(async () => (await b.cache.get(key)).isStale, 2000);
    for (const { asked } of [a, b]) asked.length = 0;
  }

  it('F1 a fresh value is returned without any lock traffic', async () => {
    await a.cache.getOrSet('k', () => 'v', { ttl: '1h', freshFor: '1m' });
    for (const { cache, asked } of [a, b]) {
      asked.length = 0;
      expect(await cache.getOrSet('k', never)).toBe('v');
      await until(async () => {
        const before = asked.length;
        expect(await cache.getOrSet('k', never)).toBe('v');
        return asked.length === before;
      }, 2000);
      expect(asked.filter((operation) => operation !== 'read')).toEqual([]);
    }
  });

  it('F2 stale, nobody at it: one caller computes and waits for it', async () => {
    await makeStale('k');
    const gate = new Gate<string>();
    const first = a.cache.getOrSet('k', gate.load);
    await gate.begun;
    const others = Array.from({ length: 10 }, () => a.cache.getOrSet('k', never));
    expect(new Set(await Promise.all(others))).toEqual(new Set(['old']));
    gate.open('new');
    expect(await first).toBe('new');
    expect(await b.cache.getOrSet('k', never)).toBe('new');
  });

  it('F2 stale, nobody at it, softTimeout 0: everybody gets the stale value and one computation runs behind them', async () => {
    await makeStale('k');
    const gate = new Gate<string>();
    const calls = Array.from({ length: 10 }, () => a.cache.getOrSet('k', gate.load, { softTimeout: 0 }));
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['old']));
    gate.open('new');
    await until(async () => (await a.cache.getOrSet('k', gate.load, { softTimeout: 0 })) === 'new', 2000);
    expect(gate.runs).toBe(1);
  });

  it('F3 stale, somebody at it: the stale value at once, here and elsewhere', async () => {
    await makeStale('k');
    const gate = new Gate<string>();
    const refreshing = a.cache.getOrSet('k', gate.load);
    await gate.begun;
    for (const onCold of ['wait', 'throw', 'load'] as const) {
      expect(await b.cache.getOrSet('k', never, { onCold })).toBe('old');
      expect(await a.cache.getOrSet('k', never, { onCold })).toBe('old');
    }
    gate.open('new');
    expect(await refreshing).toBe('new');
  });

  it('F4 cold, nobody at it: the caller computes', async () => {
    expect(await a.cache.getOrSet('k', () => 'v', { onCold: 'throw' })).toBe('v');
    expect(await b.cache.getOrSet('k', never)).toBe('v');
  });

  it('F5 cold, somebody at it, onCold throw: an error at once, with when to ask again', async () => {
    const gate = new Gate<string>();
    const first = a.cache.getOrSet('k', gate.load, { lease: '3s', onCold: 'throw' });
    await gate.begun;
    b.asked.length = 0;
    for (const { cache } of [a, b]) {
      const refused = await cache.getOrSet('k', never, { onCold: 'throw' }).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'cold_cache', key: 'k', retryAfterMs: expect.any(Number) });
    }
    // For the value, the lease and its holder at once: among many, each further question would be one too many.
    expect(b.asked).toEqual(['acquire']);
    gate.open('v');
    expect(await first).toBe('v');
  });

  it('F5 who will not wait is given what others have loaded, takes no lease for it, and remembers it', async () => {
    await a.cache.getOrSet('k', () => 'v', { ttl: '1h' });
    expect(await b.cache.getOrSet('k', never, { onCold: 'throw' })).toBe('v');
    expect(b.asked).toEqual(['acquire']);
    expect(await fleet.isLeased('k')).toBe(false);
    await until(async () => {
      b.asked.length = 0;
      expect(await b.cache.getOrSet('k', never, { onCold: 'throw' })).toBe('v');
      return b.asked.length === 0;
    }, 2000);
    expect(b.cache.peek('k')).toBe('v');
  });

  it('F5 many keys of who will not wait are read together', async () => {
    const ids = ['k1', 'k2', 'k3'];
    for (const id of ids) await a.cache.set(id, id);
    expect([...(await b.cache.getOrSetMany(ids, never, { onCold: 'throw' })).keys()]).toEqual(ids);
    expect(b.asked).toEqual(['read']);
  });

  it('F5 cold, somebody at it elsewhere: who will not wait is not kept by who will', async () => {
    const gate = new Gate<string>();
    const first = a.cache.getOrSet('k', gate.load);
    await gate.begun;
    const patient = b.cache.getOrSet('k', never);
    await until(() => b.engine.inspect().waiting === 1, 2000);
    await expect(b.cache.getOrSet('k', never, { onCold: 'throw' })).rejects.toMatchObject({ code: 'cold_cache' });
    gate.open('v');
    expect(await Promise.all([first, patient])).toEqual(['v', 'v']);
  });

  it('F5 cold, somebody at it, onCold wait: the value when it is there, an error when the budget is spent', async () => {
    const gate = new Gate<string>();
    const calls = [a.cache.getOrSet('k', gate.load)];
    await gate.begun;
    const hasty = [a, b].map(({ cache }) => cache.getOrSet('k', never, { waitBudget: 30 }));
    expect(await codesOf(hasty)).toEqual(['cold_cache', 'cold_cache']);
    for (const { cache } of [a, b]) calls.push(cache.getOrSet('k', never, { waitBudget: '20s' }));
    gate.open('v');
    expect(await Promise.all(calls)).toEqual(['v', 'v', 'v']);
  });

  it('F5 cold, somebody at it elsewhere, onCold load: computes, and stores nothing', async () => {
    const gate = new Gate<string>();
    const first = a.cache.getOrSet('k', gate.load);
    await gate.begun;
    expect(await b.cache.getOrSet('k', () => 'own', { onCold: 'load' })).toBe('own');
    expect((await b.cache.get('k')).isFound).toBe(false);
    gate.open('v');
    expect(await first).toBe('v');
    expect(await b.cache.getOrSet('k', never)).toBe('v');
  });

  it('F6 after its ttl a value is as if it had never been', async () => {
    await a.cache.getOrSet('k', () => 'old', { ttl: 60, freshFor: 20 });
    await until(async () => !(await b.cache.has('k')), 2000);
    const gate = new Gate<string>();
    const first = a.cache.getOrSet('k', gate.load);
    await gate.begun;
    await expect(b.cache.getOrSet('k', never, { onCold: 'throw' })).rejects.toMatchObject({ code: 'cold_cache' });
    gate.open('new');
    expect(await first).toBe('new');
  });

  it('F7 a value stored between the look and the lease is taken, not computed again', async () => {
    const reading = new Gate<unknown>();
    // Looks, and is held up before it asks for the lease.
    const run = b.engine.guard.run.bind(b.engine.guard);
    b.engine.guard.run = (async (operation: string, budget: never, call: (store: CacheStore) => Promise<unknown>) => {
      if (operation === 'acquire') await reading.load();
      return run(operation, budget, call);
    }) as never;
    const late = b.cache.getOrSet('k', never);
    await reading.begun;
    await a.cache.getOrSet('k', () => 'v');
    reading.open(undefined);
    expect(await late).toBe('v');
  });

  it('F8 the lease ends with the write; one that somebody else has taken meanwhile is neither used nor released', async () => {
    const gate = new Gate<string>();
    const first = a.cache.getOrSet('k', gate.load);
    await gate.begun;
    expect(await fleet.isLeased('k')).toBe(true);
    gate.open('v');
    await first;
    expect([await fleet.isLeased('k'), await a.cache.has('k')]).toEqual([false, true]);

    for (const end of ['fill', 'release'] as const) {
      const [slow, next] = [new Gate<string>(), new Gate<string>()];
      const lost = a.cache.getOrSet(end, slow.load);
      await slow.begun;
      await fleet.dropLease(end);
      const holder = b.cache.getOrSet(end, next.load);
      await next.begun;
      if (end === 'fill') slow.open('late');
      else slow.fail(new Error('upstream'));
      await lost.catch(() => undefined);
      await until(() => a.asked.includes(end), 2000);
      expect(await fleet.isLeased(end)).toBe(true);
      next.open('right');
      expect(await holder).toBe('right');
      expect(await a.cache.getOrSet(end, never)).toBe('right');
    }
  });

  it('F9 a loader slower than its lease keeps it, stores once and returns', async () => {
    const gate = new Gate<string>();
    const lease = 600;
    const slow = a.cache.getOrSet('k', gate.load, { lease });
    await gate.begun;
    const renewals = (): number => a.asked.filter((name) => name === 'renew').length;
    // Renewed at each third: two leases long.
    await until(() => renewals() >= 6, 20_000);
    await expect(b.cache.getOrSet('k', never, { onCold: 'throw', lease })).rejects.toMatchObject({
      code: 'cold_cache',
    });
    gate.open('v');
    expect(await slow).toBe('v');
    expect(await b.cache.getOrSet('k', never)).toBe('v');
    expect([gate.runs, a.asked.filter((name) => name === 'fill').length, a.cache.stats().fenced]).toEqual([1, 1, 0]);
  });

  it('F9 a lease lost: the value is returned, not stored, counted', async () => {
    const gate = new Gate<string>();
    const slow = a.cache.getOrSet('k', gate.load);
    await gate.begun;
    await fleet.dropLease('k');
    gate.open('v');
    expect(await slow).toBe('v');
    expect(a.cache.stats().fenced).toBe(1);
    expect([a.cache.peek('k'), (await b.cache.get('k')).isFound]).toEqual([undefined, false]);
  });

  it('F10 a holder that dies blocks its key for a lease at most', async () => {
    const gate = new Gate<string>();
    const lost = a.cache.getOrSet('k', gate.load, { lease: 300 });
    await gate.begun;
    a.die();
    const died = performance.now();
    expect(await b.cache.getOrSet('k', () => 'v', { lease: 300 })).toBe('v');
    expect(performance.now() - died).toBeLessThan(300 + 250);
    gate.open('late');
    await lost;
    expect((await b.cache.get('k')).value).toBe('v');
  });

  it('F11 a failed refresh with a stale value at hand: the stale value, and nobody tries again before the back-off is over', async () => {
    await makeStale('k');
    let attempts = 0;
    const failing = (): never => {
      attempts++;
      throw new Error('upstream');
    };
    const calls = (options = {}): Promise<unknown[]> =>
      codesOf([a, b, a, b].map(({ cache }) => cache.getOrSet('k', failing, { backOff: 400, ...options })));
    const failedAt = performance.now();
    while (performance.now() - failedAt < 200) expect(await calls()).toEqual(['old', 'old', 'old', 'old']);
    expect(attempts).toBe(1);
    await until(async () => {
      expect(await calls()).toEqual(['old', 'old', 'old', 'old']);
      return attempts > 1;
    }, 2000);
    expect(performance.now() - failedAt).toBeGreaterThanOrEqual(390);
    expect(attempts).toBe(2);
  });

  it('F11 staleIfError says which failures are worth a stale value', async () => {
    const failing = (code: string) => (): never => {
      throw Object.assign(new Error('upstream'), { code });
    };
    await makeStale('k');
    const staleIfError = (error: unknown): boolean => (error as { code: string }).code === 'timeout';
    expect(await codesOf([a.cache.getOrSet('k', failing('gone'), { staleIfError })])).toEqual(['gone']);
    expect(await codesOf([a.cache.getOrSet('k', failing('gone'), { staleIfError: false })])).toEqual(['gone']);
    expect(await codesOf([a.cache.getOrSet('k', failing('timeout'), { staleIfError })])).toEqual(['old']);
  });

  it.each([null, undefined, false, 0, ''])('F12 %j is a value like any other', async (value) => {
    await a.cache.getOrSet('k', () => value);
    for (const { cache } of [a, b, b]) expect(await cache.getOrSet<unknown>('k', never)).toBe(value);
  });

  it('F13 concurrent callers in a process ask the store once', async () => {
    const gate = new Gate<string>();
    const calls = [a, b].flatMap(({ cache }) => Array.from({ length: 50 }, () => cache.getOrSet('k', gate.load)));
    await gate.begun;
    await until(() => a.engine.inspect().waiting + b.engine.inspect().waiting > 0, 2000);
    gate.open('v');
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['v']));
    expect(gate.runs).toBe(1);
    const [winner, loser] = a.asked.includes('fill') ? [a, b] : [b, a];
    expect(winner.asked).toEqual(['read', 'acquire', 'fill']);
    // Asked, was told to wait, and was sent the value, or was woken and asked again.
    expect(loser.asked.slice(0, 2)).toEqual(['read', 'acquire']);
    expect(['', 'acquire']).toContain(loser.asked.slice(2).join());
  });

  it('F14 N processes x M callers: one computation; with the store down one each, never N x M', async () => {
    const members = [a, b, await fleet.join(), await fleet.join()];
    /** How often the loader runs for all callers together; it ends when so many have begun. */
    const runsOf = async (key: string, expected: number): Promise<number> => {
      const gate = new Gate<string>();
      const load = (): Promise<string> => {
        const value = gate.load();
        if (gate.runs === expected) setImmediate(() => gate.open('v'));
        return value;
      };
      const calls = members.flatMap(({ cache }) => Array.from({ length: 25 }, () => cache.getOrSet(key, load)));
      expect(new Set(await Promise.all(calls))).toEqual(new Set(['v']));
      return gate.runs;
    };
    expect(await runsOf('up', 1)).toBe(1);
    for (const member of members) member.die();
    expect(await runsOf('down', members.length)).toBe(members.length);
    expect(await runsOf('down', 0)).toBe(0);
    expect(await a.cache.delete('down')).toBe(true);
    await expect(a.cache.delete('down', { whenDown: 'reject' })).rejects.toBeInstanceOf(StoreUnavailableError);
  });
});
