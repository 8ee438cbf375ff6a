import { retryAfterSeconds } from '../core/clock/retry-after.js';
import { OUTAGES, TieredCacheError, type StoreUnavailableError } from '../core/errors/cache.error.js';

/** Somebody else holds the lock, and the caller would not wait (longer). Over HTTP: 429 with `Retry-After`. */
export class ResourceLockedError extends TieredCacheError {
  constructor(
    /** As encoded. Not for clients, and therefore not in the message. */
    readonly keys: readonly string[],
    /** When it is worth trying again, from how long such locks were held before. At least 1. */
    readonly retryAfterMs: number,
    /** How many wait. */
    readonly waiting: number,
  ) {
    super('resource_locked', `somebody else holds the lock; retry in ${Math.ceil(retryAfterMs)} ms`);
  }

  /** For a `Retry-After` header: whole seconds, at least one. */
  get retryAfterSeconds(): number {
    return retryAfterSeconds(this.retryAfterMs);
  }
}

/** Nobody can tell whether the lock is held, so nobody gets it. Over HTTP: 503. Never carries the driver's error. */
export class LockStoreUnavailableError extends TieredCacheError {
  constructor(
    readonly store: string,
    readonly operation: string,
    readonly reason: StoreUnavailableError['reason'],
    detail = `the ${store} lock store did not complete "${operation}": ${OUTAGES[reason]}`,
    /** `false`: the server has certainly not seen the request. */
    readonly wasSent = true,
  ) {
    super('lock_store_unavailable', detail);
  }
}

/**
 * Why a lease ended before its work: `expired` (not renewed in time, as far as this process can know), `taken` (the store says that
 * somebody else holds the lock, or nobody), `maxHold` (held for as long as that option allows), or `shutdown` (the application has ended).
 */
export type LossReason = 'expired' | 'taken' | 'maxHold' | 'shutdown';

/** The lease has ended before the work it protects: what is still to be written may meet somebody else's. `signal.reason` of a lease. */
export class LockLostError extends TieredCacheError {
  constructor(
    readonly keys: readonly string[],
    readonly reason: LossReason,
  ) {
    super('lock_lost', `the lock was lost: ${reason}`);
  }
}
