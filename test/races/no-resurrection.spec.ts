import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CacheStore } from '../../src/stores/contract/cache-store.js';
import type { Action, Client } from './world.js';
import { World } from './world.js';

const SCHEDULES = Number(process.env['TC_SCHEDULES'] ?? 100_000);
const CUT = SCHEDULES / 5;
const WHOLE = SCHEDULES - CUT;
// Thousands of errors a second are thrown and caught, as they are meant to be.
Error.stackTraceLimit = 0;

/** Everything, more or less as often as in life. */
const anyAction: fc.Arbitrary<Action> = fc.oneof(
  { weight: 3, arbitrary: fc.constant('load' as const) },
  { weight: 5, arbitrary: fc.constantFrom('late', 'late', 'haste', 'soft', 'fail') },
  { weight: 2, arbitrary: fc.constant('get' as const) },
  {
    weight: 5,
    arbitrary: fc.constantFrom('delete', 'set', 'expire', 'clear', 'tag', 'age', 'stamp', 'release', 'grace'),
  },
  { weight: 1, arbitrary: fc.constantFrom('flush', 'lose') },
  { weight: 2, arbitrary: fc.constantFrom('cut', 'heal') },
);
/** Links that come and go under everything that has to wait for them. */
const outageAction: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('cut', 'heal', 'heal') },
  { weight: 4, arbitrary: fc.constantFrom('load', 'haste', 'get') },
  {
    weight: 4,
    arbitrary: fc.constantFrom('delete', 'tag', 'clear', 'set', 'expire', 'age', 'stamp', 'release', 'grace'),
  },
);

function clientsDoing(actions: fc.Arbitrary<Action>, maxLength: number): fc.Arbitrary<Client[]> {
  const client = fc.tuple(fc.constantFrom(0 as const, 1 as const), fc.array(actions, { minLength: 1, maxLength }));
  return fc.array(client, { minLength: 2, maxLength: 4 });
}

/** Explores one schedule to its end: whenever nothing can move, time passes (a poll, an expiring lease). */
async function explore(
  scheduler: fc.Scheduler,
  script: readonly Client[],
  spoil?: (store: CacheStore) => CacheStore,
): Promise<World> {
  const world = new World(() => scheduler.schedule(Promise.resolve()), spoil);
  await settle(
    scheduler,
    world,
    script.map((client) => world.run(client)),
  );
  await settle(scheduler, world, [world.check()]);
  return world;
}

async function settle(scheduler: fc.Scheduler, world: World, work: Array<Promise<void>>): Promise<void> {
  let isDone = false;
  const done = Promise.all(work).finally(() => (isDone = true));
  done.catch(() => undefined);
  for (let idle = 0; !isDone || scheduler.count() > 0;) {
    if (scheduler.count() > 0) {
      await scheduler.waitOne();
      idle = 0;
      continue;
    }
    for (let i = 0; i < 30 && scheduler.count() === 0 && !isDone; i++) await Promise.resolve();
    if (scheduler.count() > 0 || isDone) continue;
    if (++idle > 200) throw new Error('deadlock: nothing moves any more');
    world.clock.advance(100);
  }
  await done;
}

function holds(
  actions: fc.Arbitrary<Action>,
  maxActions = 4,
  spoil?: (store: CacheStore) => CacheStore,
): fc.IAsyncProperty<[fc.Scheduler, Client[]]> {
  return fc.asyncProperty(fc.scheduler(), clientsDoing(actions, maxActions), async (scheduler, script) => {
    const world = await explore(scheduler, script, spoil);
    // To expect takes longer than to look.
    if (world.violations.length > 0) expect(world.violations).toEqual([]);
    if (world.leftovers() > 0) expect(world.leftovers()).toBe(0);
  });
}

describe('no resurrected values', () => {
  it(`holds over ${WHOLE} schedules of two processes on one store`, { timeout: 400_000 }, async () => {
    await fc.assert(holds(anyAction), { numRuns: WHOLE });
  });

  it(`holds over ${CUT} schedules of processes whose links to the store are cut`, { timeout: 400_000 }, async () => {
    await fc.assert(holds(outageAction, 10), { numRuns: CUT });
  });

  it('finds the race of a fill without a lease within 1,000 schedules', async () => {
    const naive = (store: CacheStore): CacheStore =>
      new Proxy(store, {
        get(target, name) {
          if (name === 'fill')
            return async (key: string, _token: string, frame: Uint8Array, ttlMs: number) =>
              (await target.write(key, frame, ttlMs)).written;
          const member: unknown = Reflect.get(target, name, target);
          return typeof member === 'function' ? (member as () => unknown).bind(target) : member;
        },
      });
    const result = await fc.check(holds(anyAction, 4, naive), { numRuns: 1000, endOnFailure: true });
    // A violation, and no mistake of this test.
    expect(String(result.errorInstance)).toContain('to deeply equal []');
  });
});
