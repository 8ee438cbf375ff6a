import { beforeEach, describe, expect, it } from 'vitest';
import type { LoadContext } from '../../src/core/cache.options.js';
import { codesOf, Gate, memoryFleet, never, type Fleet, type Member } from '../functions/fleet.js';
import { SteppedClock } from '../races/stepped.clock.js';

/** All that can happen without time passing has happened. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** `undefined` while it is pending. */
async function stateOf(call: Promise<unknown>): Promise<unknown> {
  return Promise.race([codesOf([call]).then(([outcome]) => outcome), settled()]);
}

/** Keeps what the store answers to one operation until the gate opens. */
function keepAnswer({ engine: { guard } }: Member, operation: string): Gate<void> {
  const gate = new Gate<void>();
  const run = guard.run.bind(guard);
  guard.run = (async (asked: string, ...rest: [never, never]) => {
    const answer: unknown = await run(asked, ...rest);
    if (asked === operation) await gate.load();
    return answer;
  }) as never;
  return gate;
}

describe('who joins the load of another caller', () => {
  let clock: SteppedClock;
  let fleet: Fleet;
  let a: Member;
  let b: Member;
  let gate: Gate<string>;

  beforeEach(async () => {
    clock = new SteppedClock();
    fleet = memoryFleet(clock);
    [a, b] = [await fleet.join(), await fleet.join()];
    gate = new Gate();
  });

  it.each([100, 1])('and has %i ms is refused once, though timers come a moment early', async (waitBudget) => {
    const after = clock.after.bind(clock);
    clock.after = (ms, run) => after(Math.max(0, ms - 0.9), run);
    const first = a.cache.getOrSet('k', gate.load);
    await gate.begun;
    const call = a.cache.getOrSet('k', never, { waitBudget });
    await settled();
    clock.advance(waitBudget - 0.9);
    expect(await stateOf(call)).toBe('cold_cache');
    gate.open('v');
    expect(await first).toBe('v');
  });

  it('and who asked elsewhere is refused before it goes on with what is left of its own time', async () => {
    const theirs = b.cache.getOrSet('k', gate.load, { lease: '1h' });
    await gate.begun;
    const first = a.cache.getOrSet('k', never, { waitBudget: 60 });
    const second = a.cache.getOrSet('k', never, { waitBudget: 100 });
    await settled();
    clock.advance(60);
    expect([await stateOf(first), await stateOf(second)]).toEqual(['cold_cache', undefined]);
    clock.advance(40);
    expect(await stateOf(second)).toBe('cold_cache');
    gate.open('v');
    expect(await theirs).toBe('v');
  });

  it('goes on alone, and takes its load along when it goes away', async () => {
    const theirs = b.cache.getOrSet('k', gate.load, { lease: '1h' });
    await gate.begun;
    const gone = new AbortController();
    let seen: AbortSignal | undefined;
    const load = ({ signal }: LoadContext): Promise<string> => {
      seen = signal;
      return new Promise(() => undefined);
    };
    const first = a.cache.getOrSet('k', never, { waitBudget: 60 });
    const second = a.cache.getOrSet('k', load, { signal: gone.signal });
    await settled();
    clock.advance(60);
    expect(await stateOf(first)).toBe('cold_cache');
    gate.fail(new Error('upstream'));
    await expect(theirs).rejects.toThrow('upstream');
    await settled();
    expect(seen?.aborted).toBe(false);
    gone.abort(new Error('gone'));
    await expect(second).rejects.toThrow('gone');
    expect(seen?.aborted).toBe(true);
  });

  it('and wants better than that does not bring back what was deleted meanwhile', async () => {
    await a.cache.set('k', 'old', { ttl: '1h', freshFor: 5 });
    clock.advance(10);
    const theirs = b.cache.getOrSet('k', () => new Promise<string>(() => undefined), { lease: '1h' });
    theirs.catch(() => undefined);
    await settled();
    const answered = keepAnswer(a, 'acquire');
    const first = a.cache.getOrSet('k', never);
    const second = a.cache.getOrSet('k', gate.load, { staleWhileLoading: false });
    await answered.begun;
    await a.cache.delete('k');
    answered.open();
    expect(await first).toBe('old');
    await gate.begun;
    const later = a.cache.getOrSet('k', never);
    await settled();
    gate.open('new');
    expect(await Promise.all([second, later])).toEqual(['new', 'new']);
  });

  it.each([
    ['getOrSet', (load: () => string) => a.cache.getOrSet('b', load)],
    ['getOrSetMany', async (load: () => string) => (await a.cache.getOrSetMany(['b'], () => [['b', load()]])).get('b')],
  ])('by %s loads what that one was not given by its batch', async (_, call) => {
    const first = a.cache.getOrSetMany(['a', 'b'], async () => [['a', await gate.load()]]);
    await gate.begun;
    const second = call(() => 'own');
    gate.open('v');
    expect([...(await first)]).toEqual([['a', 'v']]);
    expect(await second).toBe('own');
  });

  describe('that was forced and fails', () => {
    /** What two of those who join are given. */
    async function joined(load: () => string, options = {}): Promise<string[]> {
      const forced = a.cache.getOrSet('k', gate.load, { forceFresh: true, ...options });
      await gate.begun;
      const calls = [10_000, 20_000].map((waitBudget) => a.cache.getOrSet('k', load, { waitBudget }));
      gate.fail(new Error('upstream'));
      await expect(forced).rejects.toThrow('upstream');
      return Promise.all(calls);
    }

    it('is given what the store has', async () => {
      await b.cache.set('k', 'fresh');
      expect(await joined(never)).toEqual(['fresh', 'fresh']);
    });

    it('loads on its own, once for all of them', async () => {
      let runs = 0;
      expect(await joined(() => `run ${++runs}`)).toEqual(['run 1', 'run 1']);
    });

    it('fails if that failure is remembered', async () => {
      await expect(joined(never, { errorTtl: '1m' })).rejects.toThrow('upstream');
    });
  });

  it('that was forced fails with it when the application ends', async () => {
    const calls = [a.cache.getOrSet('k', gate.load, { forceFresh: true }), a.cache.getOrSet('k', never)];
    await gate.begun;
    await Promise.all([expect(codesOf(calls)).resolves.toEqual(Array(2).fill('store_unavailable')), a.engine.close()]);
    expect(a.engine.inspect()).toMatchObject({ flights: 0, underway: 0 });
  });
});
