/** Base of every error of this package. `code` is stable across releases; messages are not. */
export class TieredCacheError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = new.target.name;
  }
}

/** A setting, key, duration or value that cannot be used. The message names the field, the type found and the mend. */
export class CacheUsageError extends TieredCacheError {}

/** The store did not answer in time, refused, or is known to be down. Never carries the driver's error: those hold values and passwords. */
export class StoreUnavailableError extends TieredCacheError {
  constructor(
    readonly store: string,
    readonly operation: string,
    readonly reason: 'timeout' | 'open' | 'connection' | 'refused' | 'closed',
    detail = '',
  ) {
    super(
      'store_unavailable',
      `the ${store} store did not complete "${operation}": ${reason}${detail && ` (${detail})`}`,
    );
  }
}

export const COLD_CODE = 'cold_cache';

/**
 * There is no value, somebody else is computing it, and the caller would not or could not wait any longer. What an application under Nest
 * sees is its ColdCacheException.
 */
export class ColdCacheError extends TieredCacheError {
  constructor(
    readonly key: string,
    /** When it is worth asking again. */
    readonly retryAfterMs: number,
  ) {
    super(
      COLD_CODE,
      `no value for key "${key}" yet: it is being computed elsewhere; retry in ${Math.ceil(retryAfterMs)} ms`,
    );
  }
}

/** A loader has run for `hardTimeout`. */
export class LoadTimeoutError extends TieredCacheError {
  constructor(readonly timeoutMs: number) {
    super('load_timeout', `the loader did not finish within ${timeoutMs} ms (hardTimeout)`);
  }
}

/** Reading `value` of a miss, or comparing a response where its fields were meant. */
export class CachedResponseError extends TieredCacheError {
  constructor(message: string) {
    super('cached_response_misuse', message);
  }
}
