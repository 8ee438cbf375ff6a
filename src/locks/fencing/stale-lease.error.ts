import { TieredCacheError } from '../../core/errors/cache.error.js';

/**
 * The database has seen a later holder of the lock: this one was overtaken, and its write was refused. Roll back, so that nothing of the
 * attempt stays; it may be tried again under a new lease. Over HTTP: 503 with `Retry-After`.
 */
export class StaleLeaseError extends TieredCacheError {
  constructor(
    /** Where: the resource of a claim, or the table of an update. Not for clients, and therefore not in the message. */
    readonly resource: string,
    /** Of the lease that was refused. */
    readonly fencingToken: bigint,
  ) {
    super('stale_lease', 'a later holder of the lock has been here: the write was refused; roll back and try again');
  }
}
