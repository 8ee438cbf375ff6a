import { randomBytes } from 'node:crypto';
import { systemClock, type Clock } from '../core/clock/clock.js';
import { CacheUsageError } from '../core/errors/cache.error.js';
import type { HandOver, LockStore, LockStoreListener } from './contract/lock-store.js';
import { HoldTimes } from './hold-times.js';
import type { LeaseEnds, LeaseReleaseOutcome } from './lease.js';
import { LeaseKeeper, type Hold } from './lease-keeper.js';
import { LockStoreAccess } from './lock-store-access.js';
import { LockWaiters } from './lock-waiters.js';
import { LockStoreUnavailableError, type LockLostError, type LossReason } from './lock.errors.js';
import { Withdrawals } from './withdrawals.js';

/** How long one request to the lock store may take, and how long a store that cannot be reached is tried. */
export const DEFAULT_LOCK_DEADLINE_MS = 750;

export interface LockEngineOptions {
  readonly store: LockStore;
  readonly clock?: Clock | undefined;
  /** Default 750 ms. */
  readonly deadlineMs?: number | undefined;
  /** Takes a store that may drop locks, too. */
  readonly acceptEviction?: boolean | undefined;
  /** Takes a store that loses locks by its nature, too. */
  readonly acceptLossy?: boolean | undefined;
  /** Told of losses. */
  readonly onLoss?: ((loss: LockLostError) => void) | undefined;
}

/** Numbers since the start. */
export interface LockCounters {
  acquired: number;
  /** By ResourceLockedError. */
  refused: number;
  /** By LockStoreUnavailableError. */
  unavailable: number;
  readonly lost: Record<LossReason, number>;
}

/** What all locks of this process share: the store, those who wait, the leases that are kept, and what is given up in the background. */
export class LockEngine implements LeaseEnds, LockStoreListener {
  readonly clock: Clock;
  readonly access: LockStoreAccess;
  readonly waiters: LockWaiters;
  readonly withdrawals: Withdrawals;
  readonly holdTimes = new HoldTimes();
  readonly counters: LockCounters = {
    acquired: 0,
    refused: 0,
    unavailable: 0,
    lost: { expired: 0, taken: 0, maxHold: 0, shutdown: 0 },
  };
  private readonly instance = randomBytes(16).toString('base64url');
  private attempts = 0;
  private readonly keepers = new Map<LeaseKeeper, number>();
  private checking: Promise<void> | undefined;
  /** The store keeps what it is given. */
  isChecked = false;
  private isOpen = false;
  private isEnding = false;
  private idle: (() => void) | undefined;

  constructor(private readonly options: LockEngineOptions) {
    this.clock = options.clock ?? systemClock;
    this.access = new LockStoreAccess(options.store, this.clock, options.deadlineMs ?? DEFAULT_LOCK_DEADLINE_MS);
    this.waiters = new LockWaiters(this.clock);
    this.withdrawals = new Withdrawals(this.clock, this.access);
  }

  /** Leases that are held by this process. */
  get held(): number {
    return this.keepers.size;
  }

  /**
   * Connects, at the first call, and makes sure that the store keeps what it is given; again after every new connection.
   * @throws CacheUsageError `evicting_lock_store`, `lossy_lock_store`
   * @throws LockStoreUnavailableError
   */
  async ready(): Promise<void> {
    if (this.isChecked) return;
    this.checkNature();
    if (!this.isOpen) {
      this.isOpen = true;
      this.access.store.open(this);
    }
    await (this.checking ??= this.checkRole().finally(() => (this.checking = undefined)));
    this.isChecked = true;
  }

  /** A question under way is answered by the new connection, or fails. */
  connected(): void {
    if (!this.checking) this.isChecked = false;
  }

  handed(owner: string, grant?: HandOver): void {
    this.waiters.wake(owner, grant);
  }

  missed(): void {
    this.waiters.wakeAll();
  }

  /** A name that no other attempt has, in any process. */
  newOwner(): string {
    return `${this.instance}.${(++this.attempts).toString(36)}`;
  }

  newKeeper(owner: string, leaseMs: number): LeaseKeeper {
    return new LeaseKeeper(owner, leaseMs, this.clock, this.access, this.lost);
  }

  /** All locks of a lease are granted, at `since`. */
  adopt(keeper: LeaseKeeper, since: number): void {
    this.keepers.set(keeper, since);
  }

  async release(keeper: LeaseKeeper): Promise<LeaseReleaseOutcome> {
    const since = this.keepers.get(keeper);
    const heldMs = since === undefined ? undefined : this.clock.now() - since;
    const stopping = keeper.stop();
    if (stopping) await stopping;
    const [only, second] = keeper.holds;
    const outcome =
      only && !second
        ? await this.giveUp(keeper, only, heldMs)
        : worstOf(await Promise.all(keeper.holds.map((hold) => this.giveUp(keeper, hold, heldMs))));
    this.forget(keeper);
    return outcome;
  }

  async keep(keeper: LeaseKeeper): Promise<void> {
    const leftMs = keeper.leaseMs - this.heldMs(keeper);
    if (leftMs <= 0) return void (await this.release(keeper));
    await keeper.stop();
    // What fails here lasts a lease at most, anyway.
    await Promise.allSettled(
      keeper.holds.map(({ address }) =>
        this.access.run('renew', (store) => store.renew(address.store, keeper.owner, leftMs)),
      ),
    );
    this.forget(keeper);
  }

  leave(keeper: LeaseKeeper): void {
    keeper.leave();
    this.forget(keeper);
  }

  /** @throws LockStoreUnavailableError once {@link endWaiting} was called */
  assertMayWait(): void {
    if (this.isEnding) throw this.access.unavailable('acquire', 'closed');
  }

  /** For a shutdown: who waits is refused, so that requests can end. A lock that is free may still be taken. */
  endWaiting(): void {
    this.isEnding = true;
    this.waiters.wakeAll();
  }

  /** Resolves when no lease is held. */
  async drain(): Promise<void> {
    if (this.keepers.size > 0) await new Promise<void>((resolve) => (this.idle = resolve));
    await this.withdrawals.drain();
  }

  /** Locks of work that still runs are not given up: they end with their lease, and the work is told. */
  async close(): Promise<void> {
    this.endWaiting();
    this.withdrawals.stop();
    for (const keeper of this.keepers.keys()) keeper.lose('shutdown');
    this.access.close();
    if (this.isOpen) await this.access.store.close();
  }

  private readonly lost = (loss: LockLostError): void => {
    this.counters.lost[loss.reason]++;
    this.options.onLoss?.(loss);
  };

  private giveUp(keeper: LeaseKeeper, { address }: Hold, heldMs: number | undefined): Promise<LeaseReleaseOutcome> {
    if (heldMs !== undefined) this.holdTimes.record(address.encoded, heldMs);
    return this.withdrawals.once(address.store, keeper.owner, keeper.leaseMs);
  }

  private heldMs(keeper: LeaseKeeper): number {
    return this.clock.now() - (this.keepers.get(keeper) ?? this.clock.now());
  }

  private forget(keeper: LeaseKeeper): void {
    this.keepers.delete(keeper);
    if (this.keepers.size === 0) this.idle?.();
  }

  private checkNature(): void {
    const { name, capabilities } = this.access.store;
    if (!capabilities.lossy || this.options.acceptLossy) return;
    throw new CacheUsageError(
      'lossy_lock_store',
      `locks: ${name} may lose locks that are held, at any time: give locks a store that keeps them (locks.store, CACHE_LOCK_URL), or set locks.acceptLossy if all that they save is work`,
    );
  }

  private async checkRole(): Promise<void> {
    const { evicts } = await this.access
      .run('role', (store) => store.role())
      .catch((error: LockStoreUnavailableError) => {
        throw new LockStoreUnavailableError(error.store, 'role', error.reason, error.message, false);
      });
    const isAccepted = this.options.acceptEviction || this.access.store.capabilities.lossy;
    if (evicts === undefined || isAccepted) return;
    throw new CacheUsageError(
      'evicting_lock_store',
      `locks: the server may drop held locks (${evicts}): give locks a store of their own that never evicts (locks.store, CACHE_LOCK_URL), or set locks.acceptEviction if a lost lock does no harm`,
    );
  }
}

function worstOf(outcomes: readonly LeaseReleaseOutcome[]): LeaseReleaseOutcome {
  for (const outcome of ['unknown', 'not-owner', 'gone'] as const) if (outcomes.includes(outcome)) return outcome;
  return 'released';
}
