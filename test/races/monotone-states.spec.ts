import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import { defineStateCache, MemoryStore, type StateCacheOf } from '../../src/index.js';
import { MemoryDatabase } from '../../src/stores/memory/memory.store.js';
import type { CacheStore } from '../../src/stores/contract/cache-store.js';
import { schema } from '../functions/schemas.js';
import { scheduledStore, type Delay } from './scheduled.store.js';
import { SteppedClock } from './stepped.clock.js';

const SCHEDULES = 5000;
const states = defineStateCache({
  name: 'payment',
  states: ['paid', 'processing', 'created'],
  schema: schema<number>(() => []),
  ttl: '30m',
});
type State = (typeof states.states)[number];
type Client = readonly [process: 0 | 1, actions: ReadonlyArray<State | 'get'>];

const action = fc.constantFrom<State | 'get'>('paid', 'processing', 'processing', 'created', 'get');
const clients = fc.array(
  fc.tuple(fc.constantFrom(0 as const, 1 as const), fc.array(action, { minLength: 1, maxLength: 3 })),
  { minLength: 2, maxLength: 4 },
);

/** Two processes on one store. Ranks: 0 is the highest. */
class World {
  readonly clock = new SteppedClock();
  readonly violations: string[] = [];
  private readonly database = new MemoryDatabase({ clock: this.clock });
  private readonly caches: Array<StateCacheOf<typeof states>>;
  /** The highest that anybody was told is stored, or has read. */
  private standing = 9;

  constructor(
    private readonly delay: Delay,
    spoil: (store: CacheStore) => CacheStore,
  ) {
    this.caches = [0, 1].map(() => {
      const no = (): boolean => false;
      const ignore = { applied: () => undefined, lastApplied: () => 0, heard: () => undefined, isCut: no, says: no };
      const store = scheduledStore(spoil(new MemoryStore({ database: this.database })), this.delay, ignore);
      const engine = new CacheEngine({ store, clock: this.clock });
      engine.open();
      return states.on(engine.namespace('default'));
    });
  }

  async run([process, actions]: Client): Promise<void> {
    const cache = this.caches[process] as StateCacheOf<typeof states>;
    for (const next of actions) {
      await this.delay();
      if (next === 'get') await this.get(cache);
      else await this.set(cache, next);
    }
  }

  /** When all is quiet, only the highest is left, for whenever it ends. */
  async check(): Promise<void> {
    const fresh = this.caches[0] as StateCacheOf<typeof states>;
    const left: State[] = [];
    for (const state of states.states) if ((await fresh.getState(1, state)) !== undefined) left.push(state);
    if (left.length > 1) this.violations.push(`left are ${left.join(', ')}`);
    for (const cache of this.caches) await this.get(cache);
  }

  private async get(cache: StateCacheOf<typeof states>): Promise<void> {
    const { standing } = this;
    const entry = await cache.get(1);
    const rank = entry ? states.states.indexOf(entry.state) : 99;
    if (rank > standing && standing < 9) this.violations.push(`read ${entry?.state} under ${states.states[standing]}`);
    // Its writer may yet take a lower one back: only the highest is sure when it is seen.
    if (rank === 0) this.standing = 0;
  }

  private async set(cache: StateCacheOf<typeof states>, state: State): Promise<void> {
    const { standing } = this;
    const rank = states.states.indexOf(state);
    const write = await cache.set(1, state, rank);
    if (write.isStored && rank > standing) this.violations.push(`stored ${state} under ${states.states[standing]}`);
    if (write.isStored) this.standing = Math.min(this.standing, rank);
  }
}

async function settle(scheduler: fc.Scheduler, work: Array<Promise<void>>): Promise<void> {
  let isDone = false;
  const done = Promise.all(work).finally(() => (isDone = true));
  done.catch(() => undefined);
  for (let idle = 0; !isDone || scheduler.count() > 0; idle++) {
    if (scheduler.count() > 0) {
      await scheduler.waitOne();
      idle = 0;
    } else await Promise.resolve();
    if (idle > 1000) throw new Error('deadlock: nothing moves any more');
  }
  await done;
}

function holds(
  spoil: (store: CacheStore) => CacheStore = (store) => store,
): fc.IAsyncProperty<[fc.Scheduler, Client[]]> {
  return fc.asyncProperty(fc.scheduler(), clients, async (scheduler, script) => {
    const world = new World(() => scheduler.schedule(Promise.resolve()), spoil);
    await settle(
      scheduler,
      script.map((client) => world.run(client)),
    );
    await settle(scheduler, [world.check()]);
    expect(world.violations).toEqual([]);
  });
}

describe('a lower state never shadows or outlives a higher one', () => {
  it(`over ${SCHEDULES} schedules of two processes`, { timeout: 120_000 }, async () => {
    await fc.assert(holds(), { numRuns: SCHEDULES });
  });

  it('and schedules are found that show it where removals do nothing', async () => {
    const deaf = (store: CacheStore): CacheStore =>
      Object.assign(Object.create(store) as CacheStore, { remove: async () => 0 });
    expect((await fc.check(holds(deaf), { numRuns: 1000 })).failed).toBe(true);
  });
});
