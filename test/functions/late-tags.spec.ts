import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { LoadContext } from '../../src/core/cache.options.js';
import { until } from '../faults/subject.js';
import { SteppedClock } from '../races/stepped.clock.js';
import { FLEETS, Gate, memoryFleet, never, openPair, stopFleets } from './fleet.js';
import type { Fleet, Member } from './fleet.js';

afterAll(stopFleets);

/** Tags that are known only when the value is. */
describe.each(FLEETS)('late tags on $name', ({ open }) => {
  let fleet: Fleet;
  let a: Member;
  let b: Member;

  beforeEach(async () => {
    ({ fleet, a, b } = await openPair(open));
  });

  it.each([
    ['named by the loader', {}, ['t']],
    ['chosen by the value', { tags: () => ['t'] }, []],
  ] as const)(
    '%s: the entry carries them, and invalidating one makes it a miss everywhere',
    async (_, options, late) => {
      const load = (value: string) => (context: { setTags(tags: readonly string[]): void }) => {
        context.setTags(late);
        return value;
      };
      await a.cache.getOrSet('k', load('old'), options);
      expect(await b.cache.getOrSet<string>('k', never)).toBe('old');
      expect((await a.cache.explain('k')).remote).toMatchObject({ tags: ['ns:default', 'tag:t'] });
      await b.cache.invalidateTags(['t']);
      await until(async () => !(await a.cache.has('k')), 2000);
      expect(await a.cache.getOrSet('k', load('new'), options)).toBe('new');
      expect(await b.cache.getOrSet<string>('k', never)).toBe('new');
    },
  );

  it('a tag nobody has ever used does not void the result that names it', async () => {
    const value = await a.cache.getOrSet('first', (context) => (context.setTags(['first-ever']), 'v'));
    expect(value).toBe('v');
    expect(a.cache.stats().fenced).toBe(0);
    expect(await b.cache.getOrSet('first', never)).toBe('v');
  });

  it('a tag invalidated long before the load does not void its result', async () => {
    await b.cache.invalidateTags(['t']);
    await a.cache.getOrSet('k', (context) => (context.setTags(['t']), 'v'));
    expect(a.cache.stats().fenced).toBe(0);
    expect(await b.cache.getOrSet('k', never)).toBe('v');
  });

  it.each(['here', 'elsewhere'])('a tag invalidated %s while the loader runs voids the result', async (where) => {
    await a.cache.getOrSet('other', (context) => (context.setTags(['t']), 'v'));
    const gate = new Gate<string>();
    const load = a.cache.getOrSet('k', async (context) => {
      const value = await gate.load();
      context.setTags(['t']);
      return value;
    });
    await gate.begun;
    await (where === 'here' ? a : b).cache.invalidateTags(['t']);
    gate.open('before');
    expect(await load).toBe('before');
    expect(a.cache.stats().fenced).toBe(1);
    expect([(await a.cache.get('k')).isFound, (await b.cache.get('k')).isFound]).toEqual([false, false]);
    expect(await fleet.isLeased('k')).toBe(false);
    expect(await b.cache.getOrSet('k', () => 'after')).toBe('after');
  });

  it('a store that does not tell the tag in time voids the result, and the caller has it all the same', async () => {
    const gate = new Gate<string>();
    const load = a.cache.getOrSet('k', async (context) => {
      const value = await gate.load();
      context.setTags(['t']);
      return value;
    });
    await gate.begun;
    a.die();
    gate.open('v');
    expect(await load).toBe('v');
    expect((await b.cache.get('k')).isFound).toBe(false);
  });

  it('late tags that cannot be tags are refused', async () => {
    await expect(a.cache.getOrSet('k', (context) => (context.setTags([''] as string[]), 1))).rejects.toMatchObject({
      code: 'invalid_tag',
    });
    await expect(
      a.cache.getOrSet('k', () => 1, { tags: () => 'book:42' as unknown as string[] }),
    ).rejects.toMatchObject({ code: 'invalid_option' });
    expect(await fleet.isLeased('k')).toBe(false);
  });

  it('as many as the options may name, in all calls of a load together', async () => {
    const named = (count: number) => (context: LoadContext) => {
      for (let i = 0; i < count; i++) context.setTags([`t${i}`, 't0']);
      return 'v';
    };
    await expect(a.cache.getOrSet('k', named(33))).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining('got 33'),
    });
    expect(await a.cache.getOrSet('k', named(32))).toBe('v');
    expect(await b.cache.getOrSet<string>('k', never)).toBe('v');
    await b.cache.invalidateTags(['t31']);
    await until(async () => !(await a.cache.has('k')), 2000);
  });

  it('more than an entry can carry, added one confirmation after the other: not stored, and never a part of the value', async () => {
    let confirmations = 0;
    const load = (context: LoadContext<string>): string => {
      const from = 32 * confirmations++;
      context.setTags(Array.from({ length: 32 }, (_, i) => `t${from + i}`));
      return context.stale ? context.notModified() : 'v';
    };
    for (let i = 0; i < 9; i++) {
      expect(await a.cache.getOrSet('k', load, { ttl: '1h' })).toBe('v');
      await a.cache.expire('k');
      expect((await b.cache.get('k')).value).toBe('v');
    }
    expect([confirmations, a.cache.stats().fenced]).toEqual([9, 2]);
  });
});

it('late tags stay with a value that is confirmed in an outage', async () => {
  const clock = new SteppedClock();
  const { cache, die } = await memoryFleet(clock).join();
  await cache.getOrSet('k', (context) => (context.setTags(['t']), 'v'), { ttl: '1h', freshFor: '1m' });
  clock.advance(60_000);
  die();
  expect(await cache.getOrSet<string>('k', (context) => context.notModified(), { ttl: '1h' })).toBe('v');
  expect(cache.peek('k')).toBe('v');
  await cache.invalidateTags(['t']);
  expect(cache.peek('k')).toBeUndefined();
});
