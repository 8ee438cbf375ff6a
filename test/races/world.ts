import { CacheEngine } from '../../src/core/cache-engine.js';
import type { CallOptions, Loader } from '../../src/core/cache.options.js';
import type { CacheService } from '../../src/core/cache.service.js';
import { ColdCacheError } from '../../src/core/errors/cache.error.js';
import { makeStamp } from '../../src/core/keys/stamp.js';
import { MemoryDatabase, MemoryStore } from '../../src/stores/memory/memory.store.js';
import { STAMP_MARK, type CacheStore } from '../../src/stores/contract/cache-store.js';
import { scheduledStore } from './scheduled.store.js';
import type { Delay } from './scheduled.store.js';
import { SteppedClock } from './stepped.clock.js';

/** One caller in one process: does one thing after another. Several of them run side by side. */
export type Client = readonly [process: 0 | 1, actions: readonly Action[]];
export type Action =
  | ('load' | 'late' | 'soft' | 'haste' | 'fail' | 'get')
  | ('set' | 'delete' | 'expire' | 'clear' | 'tag' | 'age')
  | ('flush' | 'lose')
  | ('stamp' | 'release' | 'grace')
  | ('cut' | 'heal');

const KEY = 'k';
const TAG = 't';
/** How long a process serves what it could not share. */
const MAX_STALE_MS = 5000;
/** Over when all is checked. */
const GRACE_MS = 1000;
/** A few idle steps. */
const BACK_OFF_MS = 300;

class UpstreamError extends Error {}

/** Two processes on one store, and a truth that every update raises by one before it tells the cache. */
export class World {
  /** A moment is never told twice. */
  readonly clock = new SteppedClock(0.0001);
  readonly violations: string[] = [];
  private readonly database = new MemoryDatabase({ clock: this.clock });
  private readonly caches: CacheService[];
  private readonly engines: CacheEngine[];
  private truth = 0;
  /** The last version whose announcement was acknowledged, by the store or by the queue. */
  private announced = 0;
  /** The last version whose announcement gave those of before a grace. */
  private graced = 0;
  /** A value whose refresh has failed counts as fresh to `peek` while the back-off lasts. */
  private isHeldOver = false;
  /** Per process: what was true when a change of its own that leaves nothing older last took effect in the store. */
  private readonly applied = [0, 0];
  /** A value that is written now is that of the newest version. */
  private isUpdating = false;
  /** Per process: no read that starts now may return less. The second holds for values that are not stale. */
  private readonly floors = [0, 0];
  private readonly freshFloors = [0, 0];
  /** Per process: nothing it asks the store gets there, or no answer comes back. What the store reports is heard all the same. */
  private readonly isCut = [false, false];
  private updates: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly delay: Delay,
    spoil: (store: CacheStore) => CacheStore = (store) => store,
  ) {
    this.engines = [0, 1].map((process) => {
      const session = spoil(new MemoryStore({ database: this.database }));
      const store = scheduledStore(session, delay, {
        applied: (change) => {
          if (change === 'removal' || this.isUpdating) this.applied[process] = this.truth;
        },
        // What this process did itself it hears of by the reply, not by a report.
        lastApplied: () => this.applied[1 - process] as number,
        heard: (version) => this.raise(process, version),
        isCut: () => this.isCut[process] as boolean,
        says: (name, stamp) => this.database.stored(name)?.split(STAMP_MARK)[1] === stamp,
      });
      return new CacheEngine({
        store,
        clock: this.clock,
        memory: { maxEntries: 10, maxBytes: 10_000, maxStaleWithoutBusMs: MAX_STALE_MS },
      });
    });
    for (const engine of this.engines) engine.open();
    this.caches = this.engines.map((engine) => engine.namespace('default'));
  }

  async run([process, actions]: Client): Promise<void> {
    for (const action of actions) {
      await this.delay();
      await this.act(process, action);
    }
  }

  private async act(process: 0 | 1, action: Action): Promise<void> {
    const cache = this.caches[process] as CacheService;
    switch (action) {
      case 'load':
        return this.load(process, () => this.readTruth(), { tags: [TAG] });
      case 'late':
        return this.load(process, async (context) => {
          const value = await this.readTruth();
          context.setTags([TAG]);
          return value;
        });
      case 'soft':
        return this.load(process, () => this.readTruth(), { tags: [TAG], softTimeout: 0 });
      case 'haste':
        return this.load(process, () => this.readTruth(), { tags: [TAG], onCold: 'throw' });
      case 'fail':
        this.isHeldOver = true;
        return this.load(process, () => this.failToRead(), { tags: [TAG], backOff: BACK_OFF_MS });
      case 'get':
        return this.get(process);
      case 'set':
        return this.update(process, (version) => cache.set(KEY, version, { tags: [TAG] }));
      case 'delete':
        return this.update(process, () => cache.delete(KEY));
      case 'clear':
        return this.update(process, () => cache.clear());
      case 'tag':
        return this.update(process, () => cache.invalidateTags([TAG]));
      case 'expire':
        return this.soften(process, () => cache.expire(KEY));
      case 'age':
        return this.soften(process, () => cache.expireTags([TAG]));
      case 'flush':
        return this.database.flush();
      case 'lose':
        this.database.dropLease(`${makeStamp({})}:default:{${KEY}}`);
        return;
      case 'stamp':
        return this.update(process, (version) => cache.setStamp(`${version}`));
      case 'release':
        return this.update(process, (version) => cache.setApplicationStamp(`${version}`));
      case 'grace':
        return this.soften(process, async (version) => {
          await cache.setStamp(`${version}`, { grace: GRACE_MS });
          this.graced = version;
        });
      case 'cut':
        this.isCut[process] = true;
        return;
      case 'heal':
        this.isCut[process] = false;
        return;
    }
  }

  /** When all is quiet and heard, no tier of any process may hold anything older than the truth that was announced. */
  async check(): Promise<void> {
    this.isCut.fill(false);
    // Until the breakers have closed, and what waited for the store is there.
    while (this.engines.some((engine) => engine.inspect().isStoreDown)) await this.idle();
    await Promise.all(this.engines.map((engine) => engine.drain()));
    // What a process loaded while it could not ask, it keeps for so long.
    this.clock.advance(MAX_STALE_MS);
    for (const process of [0, 1] as const) {
      this.raise(process, Math.max(this.announced, this.graced));
      await this.get(process);
      await this.act(process, 'load');
    }
    await Promise.all(this.engines.map((engine) => engine.drain()));
  }

  /** Work that never landed, or lists that were not emptied. */
  leftovers(): number {
    return this.engines.reduce((sum, engine) => {
      const { flights, underway, waiting, watched, pending } = engine.inspect();
      return sum + flights + underway + waiting + watched + pending.keys + pending.tokens;
    }, 0);
  }

  private async load(process: 0 | 1, loader: Loader<number>, options: CallOptions<number> = {}): Promise<void> {
    const floor = this.floors[process] as number;
    const cache = this.caches[process] as CacheService;
    try {
      this.expect(await cache.getOrSet(KEY, loader, options), floor, `getOrSet in process ${process}`);
    } catch (error) {
      // Its own loader's, or that of the caller whose flight it joined; or it would not wait for one.
      if (!(error instanceof UpstreamError || (options.onCold === 'throw' && error instanceof ColdCacheError)))
        throw error;
    }
  }

  private async get(process: 0 | 1): Promise<void> {
    const [floor, freshFloor] = [this.floors[process] as number, this.freshFloors[process] as number];
    const cache = this.caches[process] as CacheService;
    const peeked = cache.peek<number>(KEY);
    if (peeked !== undefined)
      this.expect(peeked, this.isHeldOver ? floor : Math.max(floor, freshFloor), `peek in process ${process}`);
    const hit = await cache.get<number>(KEY);
    if (hit.isFound)
      this.expect(hit.value, hit.isStale ? floor : Math.max(floor, freshFloor), `get in process ${process}`);
  }

  private async readTruth(): Promise<number> {
    const value = this.truth;
    for (let hop = 0; hop < 3; hop++) await this.delay();
    return value;
  }

  private async failToRead(): Promise<never> {
    await this.delay();
    throw new UpstreamError();
  }

  /** Updates follow one another, as in a database; what they tell the cache overlaps with everything else. */
  private update(process: 0 | 1, tell: (version: number) => Promise<unknown>): Promise<void> {
    return this.inTurn(async () => {
      const version = ++this.truth;
      this.isUpdating = true;
      await tell(version);
      this.isUpdating = false;
      this.announced = version;
      this.raise(process, version);
    });
  }

  private soften(process: 0 | 1, tell: (version: number) => Promise<unknown>): Promise<void> {
    return this.inTurn(async () => {
      const version = ++this.truth;
      await tell(version);
      this.freshFloors[process] = Math.max(this.freshFloors[process] as number, version);
    });
  }

  private idle(): Promise<void> {
    return new Promise((resolve) => void this.clock.after(1, resolve));
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.updates.then(work);
    this.updates = turn;
    return turn;
  }

  private raise(process: number, version: number): void {
    this.floors[process] = Math.max(this.floors[process] as number, version);
  }

  private expect(value: number, floor: number, what: string): void {
    if (value < floor) this.violations.push(`${what} returned ${value} after ${floor} had been announced`);
  }
}
