import { beforeEach, describe, expect, it } from 'vitest';
import { SteppedClock } from '../races/stepped.clock.js';
import { codesOf, Gate, memoryFleet } from './fleet.js';
import type { Member } from './fleet.js';

const CALLERS = 1000;

let clock: SteppedClock;
let a: Member;

beforeEach(async () => {
  clock = new SteppedClock();
  a = await memoryFleet(clock).join();
});

const times = <T>(call: () => Promise<T>): Array<Promise<T>> => Array.from({ length: CALLERS }, call);
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Callers who join a flight at one moment share one answer as far as they ask for the same, and no further. */
describe(`${CALLERS} callers who join at one moment`, () => {
  it('share one timer and one answer, and each is counted', async () => {
    const gate = new Gate<string>();
    let timers = 0;
    const { after } = clock;
    const first = a.cache.getOrSet('k', gate.load);
    await gate.begun;
    clock.after = (...args) => {
      timers++;
      return after.apply(clock, args);
    };
    const calls = times(() => a.cache.getOrSet('k', gate.load, { ttl: '1h' }));
    await settled();
    expect(timers).toBe(1);
    gate.open('v');
    expect(new Set(await Promise.all([first, ...calls]))).toEqual(new Set(['v']));
    expect(a.cache.stats()).toMatchObject({ coalesced: CALLERS });
    expect(a.engine.inspect()).toMatchObject({ flights: 0, underway: 0 });
  });

  it('are each treated by their own options', async () => {
    const gate = new Gate<string>();
    const first = a.cache.getOrSet('k', gate.load);
    await gate.begun;
    const patient = times(() => a.cache.getOrSet('k', gate.load));
    const brief = times(() => a.cache.getOrSet('k', gate.load, { waitBudget: 50 }));
    const refused = times(() => a.cache.getOrSet('k', gate.load, { onCold: 'throw' }));
    expect(new Set(await codesOf(refused))).toEqual(new Set(['cold_cache']));
    clock.advance(50);
    expect(new Set(await codesOf(brief))).toEqual(new Set(['cold_cache']));
    gate.open('v');
    expect(new Set(await Promise.all([first, ...patient]))).toEqual(new Set(['v']));
  });

  it('are refused without a look at the stack, and other errors have theirs', async () => {
    const gate = new Gate<string>();
    const first = a.cache.getOrSet('k', gate.load);
    await gate.begun;
    const refusal: unknown = await a.cache
      .getOrSet('k', gate.load, { onCold: 'throw' })
      .catch((error: unknown) => error);
    expect(refusal).toMatchObject({ name: 'ColdCacheError', key: 'k' });
    expect((refusal as Error).stack).not.toContain('\n');
    expect(new Error('another').stack).toContain('\n    at ');
    gate.open('v');
    await first;
  });

  it('do not take those along who come later', async () => {
    const gate = new Gate<string>();
    const first = a.cache.getOrSet('k', gate.load);
    await gate.begun;
    const early = times(() => a.cache.getOrSet('k', gate.load, { waitBudget: 50 }));
    clock.advance(10);
    const late = times(() => a.cache.getOrSet('k', gate.load, { waitBudget: 50 }));
    clock.advance(40);
    expect(new Set(await codesOf(early))).toEqual(new Set(['cold_cache']));
    gate.open('v');
    expect(new Set(await Promise.all([first, ...late]))).toEqual(new Set(['v']));
  });

  it('go on without the one who goes away', async () => {
    const gate = new Gate<string>();
    const gone = new AbortController();
    const first = a.cache.getOrSet('k', gate.load, { signal: gone.signal });
    await gate.begun;
    const calls = times(() => a.cache.getOrSet('k', gate.load));
    gone.abort(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    gate.open('v');
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['v']));
  });
});
