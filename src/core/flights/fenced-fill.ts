import type { Clock } from '../clock/clock.js';
import type { EncodedValue } from '../codec/value.codec.js';
import { MAX_FRAME_TAGS } from '../envelope/frame.js';
import type { EntryCodec } from '../entry-codec.js';
import { CacheUsageError, StoreUnavailableError } from '../errors/cache.error.js';
import type { FailedLoad } from '../cache.options.js';
import type { LoadPlan } from '../freshness/load-plan.js';
import type { Lives } from '../freshness/lives.js';
import type { StoreGuard, WaitBudget } from '../outage/store-guard.js';
import { sameFrame } from '../../stores/contract/cache-store.js';
import type { Found } from '../tiers/found.js';
import type { MemoryTier } from '../tiers/memory.tier.js';
import { epochsOf, rotatedAt, type Epoch } from '../tokens/epoch.js';
import type { TokenRegistry } from '../tokens/token-registry.js';
import { addressOf, type Address } from '../keys/address.js';
import { tagToken, type Namespace } from '../namespace.js';
import { NotLoaded } from './batch-load.js';
import { coldError, isCold } from './cold-error.js';
import type { KeyWatch } from './key-watch.js';
import { LeaseHold } from './lease-hold.js';
import { LoadRun, type Loaded } from './load-run.js';
import type { Alone, FlightTask, Won } from './read-through.js';
import type { Waiters } from './waiters.js';

const NOT_KEPT: Lives = { ttlMs: 0, freshForMs: 0 };

/** Runs loaders, and stores what they return as far as it is still true. */
export class FencedFill {
  /** Leases that are being given up. */
  private readonly releases = new Set<Promise<void>>();

  constructor(
    private readonly clock: Clock,
    private readonly guard: StoreGuard,
    private readonly ready: (budget: WaitBudget) => Promise<void> | undefined,
    private readonly entries: EntryCodec,
    private readonly tokens: TokenRegistry,
    private readonly memory: MemoryTier | undefined,
    private readonly watch: KeyWatch,
    private readonly waiters: Waiters,
  ) {}

  /** As holder of the lease. */
  async fill(task: FlightTask, won: Won, budget: WaitBudget): Promise<Found> {
    const { namespace, address, plan } = task;
    const hold = new LeaseHold(this.clock, this.guard, address.store, won.token, plan.leaseMs);
    const release = (): void => {
      hold.stopRenewing();
      this.giveUp(address, won.token);
    };
    let loaded: Loaded;
    let encoded: EncodedValue;
    let target: Address;
    let epochs: readonly Epoch[] | undefined;
    // Whatever is thrown in here, the lease must not go on being renewed.
    try {
      loaded = await this.load(task, won.stale);
      encoded = this.entries.encode(namespace, loaded.value);
      target = loaded.under === undefined ? address : addressOf(namespace, loaded.under);
      epochs = loaded.lives && (await this.epochsOf(task, won, loaded, budget));
    } catch (error) {
      let isServedStale = false;
      try {
        isServedStale = this.failed(task, error, won.stale);
      } finally {
        // Its policies may fail, too.
        if (!isServedStale || isCold(error)) release();
      }
      if (!isServedStale) throw error;
      if (isCold(error)) return won.stale as Found;
      return this.holdOver(task, won, budget, release).finally(() => hold.stopRenewing());
    }
    const { lives } = loaded;
    if (!lives || !epochs) {
      if (lives) namespace.counters.fenced++;
      release();
      return this.entries.loaded(namespace, encoded, won.epochs, NOT_KEPT);
    }
    const found = this.entries.loaded(namespace, encoded, epochs, lives);
    const frame = (): Buffer => this.entries.frame(namespace, target, encoded, epochs, lives);
    if (target.store !== address.store) {
      await this.storeElsewhere(namespace, target, found, frame, lives.ttlMs, budget);
      release();
      return found;
    }
    hold.stopRenewing();
    await this.store(task, won, found, frame, lives.ttlMs, budget);
    return found;
  }

  /** Without the lease, so nothing is shared. In an outage the value is kept in memory, for a short while: one load per process. */
  async loadAlone(task: FlightTask, { stale, isOutage }: Alone): Promise<Found> {
    const { namespace, address, plan, flight } = task;
    const moment = this.watch.begin();
    let kept: Found | undefined;
    try {
      const loaded = await this.load(task, stale);
      const encoded = this.entries.encode(namespace, loaded.value);
      const names = new Set(namespace.tokenNames(address.encoded, [...plan.tags, ...loaded.lateTags]));
      // It keeps the labels it was given when it was loaded.
      if (loaded.isNotModified && stale) for (const { name } of epochsOf(stale.fence)) names.add(name);
      const epochs = this.tokens.provisional([...names]);
      const found = this.entries.loaded(namespace, encoded, epochs, loaded.lives ?? NOT_KEPT);
      if (loaded.lives) kept = found;
      return found;
    } catch (error) {
      if (!this.failed(task, error, stale)) throw error;
      return (kept = this.entries.heldOver(stale as Found, plan.backOffMs));
    } finally {
      const disturbed = this.watch.isReported(address.store, moment);
      this.watch.end();
      if (kept && isOutage && !disturbed && !flight.detached)
        this.memory?.insert(namespace.index, address.local, kept, true);
    }
  }

  /** Resolves when no lease is held that nobody needs: at the end of the process others should not have to wait for it. */
  async drain(): Promise<void> {
    await Promise.all(this.releases);
  }

  /** In the background. Also of a lease that may never have been granted. */
  giveUp(address: Address, token: string): void {
    const releasing = this.guard.release(address.store, token).then(() => {
      this.releases.delete(releasing);
      this.waiters.notify(address.store);
    });
    this.releases.add(releasing);
  }

  private async load(task: FlightTask, stale: Found | undefined): Promise<Loaded> {
    const { namespace, plan, flight, address } = task;
    namespace.counters.misses++;
    if (stale) flight.offer(stale);
    flight.depart();
    // A batch has one turn for all of its flights, or they would wait for one another.
    const slots = task.onIdle ? undefined : namespace.slots;
    const refuse = (): Error => coldError(namespace, address.encoded, plan.leaseMs);
    const work = (): Promise<Loaded> => this.runLoader(task, stale);
    return slots ? slots.run(plan.onCold === 'throw' ? 0 : plan.waitBudgetMs, refuse, work) : work();
  }

  private async runLoader(task: FlightTask, stale: Found | undefined): Promise<Loaded> {
    const { namespace, key, plan, flight } = task;
    if (flight.aborted) throw flight.aborted.reason;
    namespace.counters.loads++;
    const began = this.clock.now();
    const run = new LoadRun(key, plan, this.clock, stale?.isGraced ? undefined : stale);
    const loaded = await run.run(task.load, (stop) =>
      flight.listen(() => flight.aborted && stop(flight.aborted.reason)),
    );
    namespace.tookToLoad(this.clock.now() - began);
    return loaded;
  }

  /** Counts and tells; whether the callers are to be given the stale value. */
  private failed(task: FlightTask, error: unknown, stale: Found | undefined): boolean {
    const { namespace, address, plan, flight } = task;
    if (error instanceof NotLoaded || flight.aborted) return false;
    const isThere = stale !== undefined && this.clock.now() < stale.expiresAt;
    // Nobody failed: there was no turn for this load, or for one inside it.
    if (isCold(error)) return isThere;
    namespace.counters.loadErrors++;
    const isServedStale = isThere && !(error instanceof CacheUsageError) && plan.staleIfError(error);
    if (!isServedStale && !flight.detached) namespace.failures.remember(address.local, error, plan);
    tell(plan, error, { namespace: namespace.name, key: address.encoded, isServedStale });
    return isServedStale;
  }

  /**
   * The tokens that the value was loaded under. Those of labels chosen afterwards are as good as captured before if they were not replaced
   * since the lease was granted; otherwise there is no knowing whether the loader saw what that was about.
   */
  private async epochsOf(
    task: FlightTask,
    won: Won,
    loaded: Loaded,
    budget: WaitBudget,
  ): Promise<readonly Epoch[] | undefined> {
    const epochs = new Map(won.epochs.map((epoch) => [epoch.name, epoch]));
    if (loaded.isNotModified && won.stale) {
      if (!(await this.isStillThere(task, won, budget))) return undefined;
      for (const epoch of epochsOf(won.stale.fence)) epochs.set(epoch.name, epoch);
    }
    const late = loaded.lateTags.map(tagToken).filter((name) => !epochs.has(name));
    // Those of a value that is confirmed again and again add up.
    if (epochs.size + late.length > MAX_FRAME_TAGS) return undefined;
    if (late.length === 0) return [...epochs.values()];
    try {
      for (const epoch of await this.tokens.read(late, budget)) {
        if (rotatedAt(epoch) >= won.grantedAt) return undefined;
        epochs.set(epoch.name, epoch);
      }
      return [...epochs.values()];
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      return undefined;
    }
  }

  /** The stale value stays for the time of the back-off, for everybody: one attempt per period in the whole fleet. */
  private async holdOver(task: FlightTask, won: Won, budget: WaitBudget, release: () => void): Promise<Found> {
    const { namespace, address, plan } = task;
    const stale = won.stale as Found;
    const frame = won.seen && this.entries.parse(namespace, address, won.seen);
    const held = this.entries.heldOver(stale, plan.backOffMs);
    if (frame && (await this.isStillThere(task, won, budget))) {
      const ttlMs = held.expiresAt - this.clock.now();
      await this.store(task, won, held, () => this.entries.heldOverFrame(frame, stale, plan.backOffMs), ttlMs, budget);
    } else release();
    return held;
  }

  /** Without that key's lease: what makes the entry void is its tokens, captured before the load. */
  private async storeElsewhere(
    namespace: Namespace,
    target: Address,
    found: Found,
    frame: () => Buffer,
    ttlMs: number,
    budget: WaitBudget,
  ): Promise<void> {
    const moment = this.watch.begin();
    try {
      await this.ready(budget);
      const bytes = frame();
      await this.guard.run('write', budget, (store) => store.write(target.store, bytes, ttlMs));
      if (!this.watch.isReported(target.store, moment)) this.memory?.insert(namespace.index, target.local, found);
    } catch {
      namespace.counters.storeFailures++;
    } finally {
      this.watch.end();
    }
  }

  /**
   * Whether the store still has the stale value. It was read before the lease was granted, and may have been removed in between; a
   * removal after the grant ends the lease.
   */
  private async isStillThere({ address }: FlightTask, won: Won, budget: WaitBudget): Promise<boolean> {
    try {
      const [frame] = await this.guard.run('read', budget, (store) => store.read([address.store]));
      return frame !== undefined && sameFrame(frame, won.seen);
    } catch {
      return false;
    }
  }

  private async store(
    task: FlightTask,
    won: Won,
    found: Found,
    frame: () => Buffer,
    ttlMs: number,
    budget: WaitBudget,
  ): Promise<void> {
    const { namespace, address, flight } = task;
    const moment = this.watch.begin();
    let isStored: boolean | undefined;
    try {
      // The store may be another one since the loader began.
      await this.ready(budget);
      const bytes = frame();
      isStored = await this.guard.run('fill', budget, (store) => store.fill(address.store, won.token, bytes, ttlMs));
      if (!isStored) namespace.counters.fenced++;
    } catch {
      namespace.counters.storeFailures++;
      this.giveUp(address, won.token);
    }
    const disturbed = this.watch.isReported(address.store, moment);
    this.watch.end();
    // Refused means the key was invalidated or the lease lost: only an unanswered fill may be kept here, and not for long.
    if (isStored !== false && !disturbed && !flight.detached)
      this.memory?.insert(namespace.index, address.local, found, isStored === undefined);
    this.waiters.notify(address.store);
  }
}

/** Whoever listens must not change what the callers get. */
function tell({ onLoadError }: LoadPlan, error: unknown, load: FailedLoad): void {
  // Its failures, at once or later, are its own to report.
  if (onLoadError) void new Promise((resolve) => resolve(onLoadError(error, load))).catch(() => undefined);
}
