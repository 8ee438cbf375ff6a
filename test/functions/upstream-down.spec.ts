import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { SteppedClock } from '../races/stepped.clock.js';
import { FLEETS, memoryFleet, stopFleets } from './fleet.js';
import type { Member } from './fleet.js';

afterAll(stopFleets);

/** What the fleet depends on. Keeps a list of when it was asked. */
class Upstream {
  isDown = false;
  readonly asked: number[] = [];

  constructor(private readonly now: () => number) {}

  readonly load = async (): Promise<string> => {
    this.asked.push(this.now());
    await Promise.resolve();
    if (this.isDown) throw new Error('upstream is down');
    return `as of ${this.now()}`;
  };

  /** Between two attempts, at least. */
  get pause(): number {
    return Math.min(...this.asked.slice(1).map((at, i) => at - (this.asked[i] as number)));
  }
}

describe('an upstream that is down while a stale value is at hand', () => {
  it('for a minute, 1,000 calls in 4 processes: no error, one attempt per back-off, recovered within one', async () => {
    const [backOff, minute, calls] = [5000, 60_000, 1000];
    const clock = new SteppedClock();
    const fleet = memoryFleet(clock);
    const members = await Promise.all([1, 2, 3, 4].map(() => fleet.join()));
    const upstream = new Upstream(() => clock.now());
    const call = (i: number): Promise<string> =>
      (members[i % members.length] as Member).cache.getOrSet('k', upstream.load, {
        ttl: '1h',
        freshFor: '1s',
        backOff,
      });
    const old = await call(0);
    clock.advance(1000);
    upstream.isDown = true;
    upstream.asked.length = 0;
    for (let i = 0; i < calls; i++) {
      expect(await call(i)).toBe(old);
      clock.advance(minute / calls);
    }
    expect(upstream.asked.length).toBe(minute / backOff);
    expect(upstream.pause).toBeGreaterThanOrEqual(backOff);

    upstream.isDown = false;
    const upAt = clock.now();
    for (let i = 0; (await call(i)) === old; i++) clock.advance(minute / calls);
    expect(clock.now() - upAt).toBeLessThanOrEqual(backOff);
    const recovered = await call(0);
    for (let i = 0; i < members.length; i++) expect(await call(i)).toBe(recovered);
    const failures = members.reduce((sum, { cache }) => sum + cache.stats().loadErrors, 0);
    expect(failures).toBe(minute / backOff);
  });

  it('concurrent callers of all processes at the end of a back-off make one attempt', async () => {
    const clock = new SteppedClock();
    const fleet = memoryFleet(clock);
    const members = await Promise.all([1, 2, 3, 4].map(() => fleet.join()));
    const upstream = new Upstream(() => clock.now());
    const callAll = (): Promise<string[]> =>
      Promise.all(
        members.flatMap(({ cache }) =>
          Array.from({ length: 10 }, () =>
            cache.getOrSet('k', upstream.load, { ttl: '1h', freshFor: '1s', backOff: '5s' }),
          ),
        ),
      );
    const [old] = await callAll();
    upstream.isDown = true;
    upstream.asked.length = 0;
    for (let period = 0; period < 5; period++) {
      clock.advance(5000);
      expect(new Set(await callAll())).toEqual(new Set([old]));
      expect(new Set(await callAll())).toEqual(new Set([old]));
    }
    expect(upstream.asked.length).toBe(5);
  });

  it('a stale value that has reached its hard lifetime is not served for ever', async () => {
    const clock = new SteppedClock();
    const { cache } = await memoryFleet(clock).join();
    const upstream = new Upstream(() => clock.now());
    const call = (): Promise<string> =>
      cache.getOrSet('k', upstream.load, { ttl: '10s', freshFor: '1s', backOff: '4s' });
    await call();
    upstream.isDown = true;
    for (let ms = 1000; ms < 10_000; ms += 1000) {
      clock.advance(1000);
      await call();
    }
    clock.advance(1000);
    await expect(call()).rejects.toThrow('upstream is down');
  });

  it.each(FLEETS)(
    'for two seconds of real time on $name: no error, one attempt per back-off, recovered within one',
    async ({ open }) => {
      const [backOff, downFor] = [300, 2000];
      const fleet = await open();
      const members = [await fleet.join(), await fleet.join(), await fleet.join()];
      const upstream = new Upstream(() => performance.now());
      const callAll = (): Promise<string[]> =>
        Promise.all(
          members.map(({ cache }) =>
            cache.getOrSet('k', upstream.load, { ttl: '1h', freshFor: '100ms', backOff, lease: '5s' }),
          ),
        );
      const [old] = (await callAll()) as [string];
      await sleep(100);
      upstream.isDown = true;
      upstream.asked.length = 0;
      const downAt = performance.now();
      let calls = 0;
      for (; performance.now() - downAt < downFor; calls++) {
        expect(new Set(await callAll())).toEqual(new Set([old]));
        await sleep(5);
      }
      expect(calls).toBeGreaterThan(50);
      expect(upstream.asked.length).toBeGreaterThan(1);
      // The store's time and this process's are read at slightly different moments.
      expect(upstream.pause).toBeGreaterThanOrEqual(backOff - 5);

      upstream.isDown = false;
      upstream.asked.length = 0;
      const upAt = performance.now();
      while ((await callAll()).includes(old)) await sleep(5);
      expect((upstream.asked[0] as number) - upAt).toBeLessThanOrEqual(backOff + 100);
    },
  );
});
