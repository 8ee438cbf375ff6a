import type { Clock } from '../clock/clock.js';
import type { EncodedValue } from '../codec/value.codec.js';
import type { EntryCodec } from '../entry-codec.js';
import { CacheUsageError, ColdCacheException, StoreUnavailableError } from '../errors/cache.error.js';
import type { Address } from '../keys/address.js';
import type { Namespace } from '../namespace.js';
import type { StoreGuard, WaitBudget } from '../outage/store-guard.js';
import type { Found } from '../tiers/found.js';
import type { MemoryTier } from '../tiers/memory.tier.js';
import type { Epoch } from '../tokens/epoch.js';
import type { TokenRegistry } from '../tokens/token-registry.js';
import { NotLoaded } from './batch-load.js';
import type { Flight } from './flight.js';
import type { KeyWatch } from './key-watch.js';
import { LeaseHold } from './lease-hold.js';
import type { LoadPlan } from './load-plan.js';
import type { Reading, RemoteReader } from './remote.reader.js';
import type { Waiters } from './waiters.js';

/** How often to look again while the store does not tell us about changes; with a bus it is only a back-stop. */
const POLL_DEAF_MS = 100;
const POLL_HEARD_MS = 1000;

/** One flight's task. */
export interface FlightTask {
  readonly namespace: Namespace;
  readonly address: Address;
  readonly plan: LoadPlan;
  readonly flight: Flight;
  /** What the memory tier still has, past its freshness: better than nothing if the store does not answer. */
  readonly stale: Found | undefined;
  /** Skips what the tiers have and replaces it (forced miss). */
  readonly forced: boolean;
  readonly load: (stale: Found | undefined) => unknown;
  /** Called when this flight will not load for the time being (a batch need not wait for it). */
  readonly onIdle?: () => void;
}

/** What the remote tier decided: a value, the right to fill, or no word from the store. */
type Decision =
  | { readonly kind: 'found'; readonly found: Found }
  | { readonly kind: 'lease'; readonly token: string; readonly epochs: Epoch[]; readonly stale: Found | undefined }
  /** `isOutage`: the store does not answer; otherwise somebody else holds the lease and the caller would not wait. */
  | { readonly kind: 'alone'; readonly stale: Found | undefined; readonly isOutage: boolean };

/**
 * The miss path: remote read, then the lease-fenced fill. The right to store is a lease that any write or removal of the key destroys,
 * and the tokens are captured before the loader runs; so a result that was invalidated meanwhile is not stored, or is born void.
 */
export class ReadThrough {
  constructor(
    private readonly clock: Clock,
    private readonly guard: StoreGuard,
    private readonly reader: RemoteReader,
    private readonly entries: EntryCodec,
    private readonly tokens: TokenRegistry,
    private readonly memory: MemoryTier | undefined,
    private readonly watch: KeyWatch,
    private readonly waiters: Waiters,
    private readonly isHeard: () => boolean,
    private readonly newToken: () => string,
  ) {}

  async run(task: FlightTask): Promise<Found> {
    const { namespace } = task;
    const budget = this.guard.budget();
    let decision: Decision;
    let reading: Reading | undefined;
    try {
      if (!task.forced) {
        reading = await this.reader.readOne(namespace, task.address, budget);
        if (reading.found && this.reader.isFresh(reading.found)) {
          namespace.counters.remoteHits++;
          return reading.found;
        }
      }
      decision = await this.elect(task, budget, reading?.frame, reading?.found);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      namespace.counters.storeFailures++;
      decision = { kind: 'alone', stale: reading?.found ?? task.stale, isOutage: true };
    }
    if (decision.kind === 'found') return decision.found;
    return decision.kind === 'lease' ? this.fill(task, decision, budget) : this.loadAlone(task, decision);
  }

  /** Asks for the lease until there is a value, the lease, or no patience left. */
  private async elect(
    task: FlightTask,
    budget: WaitBudget,
    seenFirst: Uint8Array | undefined,
    staleFirst: Found | undefined,
  ): Promise<Decision> {
    const { namespace, address, plan } = task;
    await this.reader.ready(budget);
    const token = this.newToken();
    const names = namespace.tokenNames(address.encoded, plan.tags);
    const giveUpAt = this.clock.now() + plan.waitBudgetMs;
    let seen = seenFirst;
    let stale = staleFirst;
    // Joined before asking: what is told between the answer and going to sleep is not missed.
    const waiter = this.waiters.join(address.store);
    try {
      for (;;) {
        const epochs = await this.tokens.read(names, budget);
        const fence = epochs.map((epoch) => epoch.token).join('.');
        const request = { token, leaseMs: plan.leaseMs, seen, fence, steal: task.forced };
        const answer = await this.guard.run('acquire', budget, (store) => store.acquire(address.store, request));
        if (answer.outcome === 'lease') return { kind: 'lease', token, epochs, stale };
        if (answer.outcome === 'value') {
          const reading = await this.reader.judge(namespace, address, answer.frame, budget);
          if (reading.found && this.reader.isFresh(reading.found)) return this.hit(task, reading.found);
          stale = reading.found;
          seen = answer.frame;
          continue;
        }
        if (stale) {
          namespace.counters.staleHits++;
          return { kind: 'found', found: stale };
        }
        if (plan.onCold === 'load') return { kind: 'alone', stale, isOutage: false };
        const patienceMs = giveUpAt - this.clock.now();
        if (plan.onCold === 'throw' || patienceMs <= 0)
          throw new ColdCacheException(address.encoded, answer.remainingMs);
        task.onIdle?.();
        const poll = this.isHeard() ? POLL_HEARD_MS : POLL_DEAF_MS;
        await waiter.sleep(Math.min(patienceMs, poll, answer.remainingMs + 1));
        budget = this.guard.budget();
      }
    } finally {
      waiter.leave();
    }
  }

  private async fill(task: FlightTask, won: Decision & { kind: 'lease' }, budget: WaitBudget): Promise<Found> {
    const { namespace, address, plan, flight } = task;
    const hold = new LeaseHold(this.clock, this.guard, address.store, won.token, plan.leaseMs);
    let encoded: EncodedValue;
    try {
      encoded = this.entries.encode(namespace, await this.load(task, won.stale));
    } catch (error) {
      hold.release(() => this.waiters.notify(address.store));
      if (won.stale && !(error instanceof CacheUsageError)) return this.staleInsteadOf(namespace, won.stale);
      throw error;
    }
    const found = this.entries.loaded(namespace, encoded, won.epochs, plan);
    if (plan.ttlMs <= 0) {
      hold.release(() => this.waiters.notify(address.store));
      return found;
    }
    hold.stopRenewing();
    const moment = this.watch.begin();
    let isStored: boolean | undefined;
    try {
      // The store may be another one since the loader began.
      await this.reader.ready(budget);
      const frame = this.entries.frame(namespace, address, encoded, won.epochs, plan);
      isStored = await this.guard.run('fill', budget, (store) =>
        store.fill(address.store, won.token, frame, plan.ttlMs),
      );
      if (!isStored) namespace.counters.fenced++;
    } catch {
      namespace.counters.storeFailures++;
    }
    const disturbed = this.watch.isReported(address.store, moment);
    this.watch.end();
    // Refused means the key was invalidated or the lease lost: only an unanswered fill may be kept here, and not for long.
    if (isStored !== false && !disturbed && !flight.detached)
      this.memory?.insert(namespace.index, address.local, found, isStored === undefined);
    this.waiters.notify(address.store);
    return found;
  }

  /** Without the lease, so nothing is shared. In an outage the value is kept in memory, for a short while: one load per process. */
  private async loadAlone(task: FlightTask, { stale, isOutage }: Decision & { kind: 'alone' }): Promise<Found> {
    const { namespace, address, plan, flight } = task;
    const epochs = this.tokens.provisional(namespace.tokenNames(address.encoded, plan.tags));
    const moment = this.watch.begin();
    let found: Found | undefined;
    try {
      const encoded = this.entries.encode(namespace, await this.load(task, stale));
      found = this.entries.loaded(namespace, encoded, epochs, plan);
      return found;
    } catch (error) {
      if (stale && !(error instanceof CacheUsageError)) return this.staleInsteadOf(namespace, stale);
      throw error;
    } finally {
      const disturbed = this.watch.isReported(address.store, moment);
      this.watch.end();
      if (found && isOutage && !disturbed && !flight.detached && plan.ttlMs > 0)
        this.memory?.insert(namespace.index, address.local, found, true);
    }
  }

  private async load(task: FlightTask, stale: Found | undefined): Promise<unknown> {
    const { counters } = task.namespace;
    counters.misses++;
    counters.loads++;
    try {
      return await task.load(stale);
    } catch (error) {
      if (!(error instanceof NotLoaded)) counters.loadErrors++;
      throw error;
    }
  }

  private hit(task: FlightTask, found: Found): Decision {
    task.namespace.counters.remoteHits++;
    return { kind: 'found', found };
  }

  private staleInsteadOf(namespace: Namespace, stale: Found): Found {
    namespace.counters.staleHits++;
    return stale;
  }
}
