import type { CacheKey } from '../cache.options.js';
import type { Clock } from '../clock/clock.js';
import type { Acquired } from '../../stores/contract/cache-store.js';
import { StoreUnavailableError } from '../errors/cache.error.js';
import type { LoadPlan } from '../freshness/load-plan.js';
import { isDue } from '../freshness/due.js';
import type { Address } from '../keys/address.js';
import type { Namespace } from '../namespace.js';
import type { StoreGuard, WaitBudget } from '../outage/store-guard.js';
import type { Found } from '../tiers/found.js';
import { isAlive, type Epoch } from '../tokens/epoch.js';
import type { TokenRegistry } from '../tokens/token-registry.js';
import { coldError } from './cold-error.js';
import type { FencedFill } from './fenced-fill.js';
import type { Flight } from './flight.js';
import type { LoadRun } from './load-run.js';
import { NOTHING, type Answer, type Reading, type RemoteReader } from './remote.reader.js';
import type { Waiter, Waiters } from './waiters.js';

/** How often to look again while the store does not tell us about changes; with a bus it is only a back-stop. */
const POLL_DEAF_MS = 100;
const POLL_HEARD_MS = 1000;

/** One flight's task. */
export interface FlightTask {
  readonly namespace: Namespace;
  readonly key: CacheKey;
  readonly address: Address;
  readonly plan: LoadPlan;
  readonly flight: Flight;
  /** What the near tiers still have, past its freshness: better than nothing if the store does not answer. */
  readonly near: Found | undefined;
  /** Skips what the tiers have and replaces it (forced miss). */
  readonly forced: boolean;
  readonly load: (run: LoadRun) => unknown;
  /** Set for one of a batch: called when this flight will not load (any more, or for the time being), so that the batch need not wait for it. */
  readonly onIdle?: (() => void) | undefined;
}

/** What the remote tier decided: a value, the right to fill, nothing for who will not wait (longer) for the one who fills, or no word from the store. */
export type Decision = { readonly kind: 'found'; readonly found: Found } | Won | Cold | Alone;

/** What the remote tier had when it was asked last. */
interface LastReading {
  reading: Reading | undefined;
}

interface Cold {
  readonly kind: 'cold';
  /** Of the other one's lease. */
  readonly remainingMs: number;
}

export interface Won {
  readonly kind: 'lease';
  readonly token: string;
  /** The store's time when the lease was granted, comparable with that in tokens. */
  readonly grantedAt: number;
  /** Captured before the loader runs. */
  readonly epochs: readonly Epoch[];
  readonly stale: Found | undefined;
  /** The frame of `stale`. */
  readonly seen: Uint8Array | undefined;
}

export interface Alone {
  readonly kind: 'alone';
  readonly stale: Found | undefined;
  /** The store does not answer; otherwise somebody else holds the lease and the caller would not wait. */
  readonly isOutage: boolean;
}

/**
 * The miss path: remote read, then the lease-fenced fill. The right to store is a lease that any write or removal of the key destroys,
 * and the tokens are captured before the loader runs; so a result that was invalidated meanwhile is not stored, or is born void.
 */
export class ReadThrough {
  constructor(
    private readonly clock: Clock,
    private readonly guard: StoreGuard,
    private readonly reader: RemoteReader,
    private readonly tokens: TokenRegistry,
    private readonly waiters: Waiters,
    private readonly filling: FencedFill,
    private readonly isHeard: () => boolean,
    private readonly newToken: () => string,
  ) {}

  /** @param landed called at the end, before anybody has the result */
  async run(task: FlightTask, landed: (task: FlightTask) => void): Promise<Found> {
    const { namespace, address } = task;
    const budget = this.guard.budget();
    try {
      let decision: Decision;
      const remote: LastReading = { reading: undefined };
      try {
        if (this.readsFirst(task)) {
          const tick = this.reader.ask({ namespace, address, budget });
          const at = tick.questions.length - 1;
          // Not awaited by a method of the reader: every remote hit passes here, and every promise on its way costs a tenth of it.
          const answer = (await tick.answers)[at] as Answer;
          const { found } = (remote.reading = answer instanceof Promise ? await answer : answer);
          if (found && this.isGood(task, found)) return this.hit(task, found);
        }
        decision = await this.elect(task, budget, remote);
      } catch (error) {
        if (!(error instanceof StoreUnavailableError)) throw error;
        namespace.counters.storeFailures++;
        // It does answer: perhaps it is full, or its rights end there.
        if (error.reason === 'refused' && !task.forced && !this.readsFirst(task))
          remote.reading ??= await this.readAlone(task, budget);
        const found = remote.reading?.found;
        if (found && this.reader.isFresh(found)) return this.hit(task, found);
        decision = { kind: 'alone', stale: found ?? task.near, isOutage: true };
      }
      if (decision.kind === 'found') return decision.found;
      if (decision.kind === 'lease') return await this.filling.fill(task, decision, budget);
      if (decision.kind === 'cold') throw coldError(namespace, address.encoded, decision.remainingMs);
      return await this.filling.loadAlone(task, decision);
    } finally {
      landed(task);
    }
  }

  /**
   * Reads that travel together are cheaper than asking for the lease, which brings the value, too, if there is one. Who would be refused rather
   * than wait is told so by the first answer: when many find the key cold at once, each further question is one too many.
   */
  private readsFirst({ forced, plan, onIdle }: FlightTask): boolean {
    return !forced && (plan.onCold !== 'throw' || onIdle !== undefined);
  }

  /** Where no lease is to be had. */
  private async readAlone({ namespace, address }: FlightTask, budget: WaitBudget): Promise<Reading | undefined> {
    try {
      return (await this.reader.read(namespace, [address], budget))[0];
    } catch (error) {
      if (error instanceof StoreUnavailableError) return undefined;
      throw error;
    }
  }

  /**
   * Asks for the lease until there is a value, the lease, or no patience left.
   * @param remote what was read before, if anything; told what is found out
   */
  private async elect(task: FlightTask, budget: WaitBudget, remote: LastReading): Promise<Decision> {
    const { namespace, address, plan } = task;
    const opening = this.reader.ready(budget);
    if (opening) await opening;
    const token = this.newToken();
    const names = namespace.tokenNames(address.encoded, plan.tags);
    const giveUpAt = this.clock.now() + plan.waitBudgetMs;
    const late = (answer: Acquired): void => {
      if (answer.outcome === 'lease') this.filling.giveUp(address, token);
    };
    const waiter = plan.onCold === 'wait' ? this.waiterOf(task) : undefined;
    try {
      for (;;) {
        if (task.flight.aborted) throw task.flight.aborted.reason;
        const epochs = this.tokens.known(names) ?? (await this.tokens.read(names, budget));
        const fence = epochs.map((epoch) => epoch.token).join('.');
        const request = { token, leaseMs: plan.leaseMs, seen: remote.reading?.frame, fence, steal: task.forced };
        const answer = await this.reader
          .acquire(namespace, address, request, budget, late)
          .catch((error: StoreUnavailableError) => this.withdraw(address, token, error));
        const answeredAt = this.clock.now();
        remote.reading = answer.reading ?? remote.reading;
        const { found: stale, frame: seen } = remote.reading ?? NOTHING;
        if (answer.reading && stale && this.isGood(task, stale)) {
          // The store's time may be ahead of what this process takes it for. Values are judged by one clock, whatever was asked.
          if (answer.outcome === 'lease') this.filling.giveUp(address, token);
          return { kind: 'found', found: this.hit(task, stale) };
        }
        if (answer.outcome === 'value') continue;
        if (answer.outcome === 'lease')
          return { kind: 'lease', token, grantedAt: answer.grantedAt, epochs, stale, seen: stale && seen };
        if (stale && (plan.staleWhileLoading || this.reader.isFresh(stale))) return { kind: 'found', found: stale };
        if (plan.onCold === 'load') return { kind: 'alone', stale, isOutage: false };
        const patienceMs = giveUpAt - this.clock.now();
        if (!waiter || patienceMs <= 0) return { kind: 'cold', remainingMs: answer.remainingMs };
        task.onIdle?.();
        // Who will not wait for a loader will not wait for another process's, either.
        task.flight.depart();
        const poll = this.isHeard() ? POLL_HEARD_MS : POLL_DEAF_MS;
        await waiter.sleep(Math.min(patienceMs, poll, answer.remainingMs + 1));
        const sent = this.newsSince(answeredAt, waiter);
        if (sent && this.isGood(task, sent)) return { kind: 'found', found: this.hit(task, sent) };
        budget = this.guard.budget();
      }
    } finally {
      waiter?.leave();
    }
  }

  /** To be had before the store is asked: what is told between the answer and going to sleep is not missed. */
  private waiterOf({ address, flight }: FlightTask): Waiter {
    const waiter = this.waiters.join(address.store);
    flight.listen(() => flight.aborted && waiter.notify());
    return waiter;
  }

  /** It may have been granted all the same: nobody is to wait for a lease that nobody knows of. Too early where the store is yet to be asked. */
  private withdraw(address: Address, token: string, error: StoreUnavailableError): never {
    if (error.reason === 'timeout' || error.reason === 'connection') this.filling.giveUp(address, token);
    throw error;
  }

  /** What a report brought that is surely newer than the last answer. */
  private newsSince(answeredAt: number, { sent }: Waiter): Found | undefined {
    return sent && sent.moment > answeredAt && isAlive(sent.found.fence) ? sent.found : undefined;
  }

  /** Fresh, and not due for an early refresh. */
  private isGood(task: FlightTask, found: Found): boolean {
    return this.reader.isFresh(found) && !isDue(task.plan, found, this.clock.now());
  }

  private hit(task: FlightTask, found: Found): Found {
    task.namespace.counters.remoteHits++;
    return found;
  }
}
