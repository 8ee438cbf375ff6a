import type { Duration } from '../core/clock/duration.js';
import { durationMs } from '../core/clock/duration.js';
import type { ReleaseOutcome } from './contract/lock-store.js';
import type { LeaseKeeper } from './lease-keeper.js';
import type { LeaseToken } from './lease-token.js';
import { encodeLeaseToken } from './lease-token.js';
import type { LockLostError } from './lock.errors.js';

/** `unknown`: the store did not answer; it is asked on in the background, and the lock ends with its lease in any case. */
export type LeaseReleaseOutcome = ReleaseOutcome | 'unknown';

/** What a lease can do with the locks it stands for. */
export interface LeaseEnds {
  release(keeper: LeaseKeeper): Promise<LeaseReleaseOutcome>;
  keep(keeper: LeaseKeeper): Promise<void>;
  leave(keeper: LeaseKeeper): void;
}

/**
 * The right to be the only one, for as long as it is renewed. Made by CacheLockService.
 *
 * No lease can outlast every pause: check {@link assertHeld} before a step that cannot be undone, hand {@link signal} to what can be
 * cancelled, and where it matters have the database refuse a lower {@link fencingToken}.
 * @example
 * await using lease = await locks.acquire(['policy', id]);
 * lease.assertHeld();
 */
export class Lease {
  private ending: Promise<LeaseReleaseOutcome> | undefined;

  constructor(
    private readonly keeper: LeaseKeeper,
    private readonly ends: LeaseEnds,
    private readonly maxHoldMs: number,
  ) {}

  /** As encoded, in the order they were taken. */
  get keys(): readonly string[] {
    return this.keeper.keys;
  }

  /** This attempt's name in the store. */
  get owner(): string {
    return this.keeper.owner;
  }

  /** Aborted, with a LockLostError as its reason, when the lease is lost, also while the store does not answer. */
  get signal(): AbortSignal {
    this.keeper.check();
    return this.keeper.signal;
  }

  /** Neither released nor lost, as far as this process can know. */
  get isHeld(): boolean {
    return this.keeper.isHeld;
  }

  /** Until the lease will be lost unless it is renewed; 0 if it is not held. */
  get remainingMs(): number {
    return this.keeper.remainingMs;
  }

  /** Why the lease was lost, if it was. */
  get loss(): LockLostError | undefined {
    this.keeper.check();
    return this.keeper.loss;
  }

  /**
   * Grows with every grant of a key (microseconds of the store's clock, and always more than the last), so that a database can refuse the
   * write of a holder that was overtaken: `UPDATE ... SET fence = :token WHERE id = :id AND fence <= :token`. Below 2^53 until 2255. Of several
   * keys the greatest; see {@link fencingTokenOf}.
   */
  get fencingToken(): bigint {
    return this.keeper.holds.reduce((most, { fence }) => (fence > most ? fence : most), 0n);
  }

  /** The fence of one of {@link keys}; `undefined` for another. */
  fencingTokenOf(key: string): bigint | undefined {
    return this.keeper.holds.find(({ address }) => address.encoded === key)?.fence;
  }

  /** To be called before a step that cannot be undone; asks the local clock, not the store. @throws LockLostError */
  assertHeld(): void {
    this.keeper.assertHeld();
  }

  /**
   * Renews at once, for `duration` (default: its lease), beyond `maxHold` if need be.
   * @throws LockLostError
   * @throws LockStoreUnavailableError if nobody knows; the lease goes on to its end
   */
  extend(duration?: Duration): Promise<void> {
    return this.keeper.extend(duration === undefined ? this.keeper.leaseMs : durationMs(duration, 'extend'));
  }

  /** Gives the locks up and hands them to those who wait. Only the first call does anything; never throws. */
  release(): Promise<LeaseReleaseOutcome> {
    return (this.ending ??= this.ends.release(this.keeper));
  }

  /** Leaves the locks to what is left of their lease, counted from its beginning: for work that is not to be repeated so soon. */
  async keep(): Promise<void> {
    this.ending ??= this.ends.keep(this.keeper).then(() => 'unknown');
    await this.ending;
  }

  /** For another process, which goes on with it by `locks.restore(token)`. A secret: who has it owns the lock. */
  get token(): string {
    const { owner, leaseMs, holds } = this.keeper;
    const token: LeaseToken = {
      owner,
      leaseMs,
      maxHoldMs: this.maxHoldMs,
      holds: holds.map(({ address, fence }) => ({ ...address, fence })),
    };
    return encodeLeaseToken(token);
  }

  /** Ends this lease without giving the locks up, and returns its {@link token}: to be restored before its lease runs out. @throws LockLostError */
  detach(): string {
    this.keeper.assertHeld();
    this.ending = Promise.resolve('not-owner');
    this.ends.leave(this.keeper);
    return this.token;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
