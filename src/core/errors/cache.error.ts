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

/** Why a store did not do what it was asked, for people. */
export const OUTAGES = {
  timeout: 'it did not answer in time',
  open: 'it has not answered lately and is left alone until a probe is answered (its circuit breaker is open)',
  connection: 'there is no connection to it, or it broke',
  refused: 'it refused',
  closed: 'it is closed, as the application ends',
} as const;

/** The store did not answer in time, refused, or is known to be down. Never carries the driver's error: those hold values and passwords. */
export class StoreUnavailableError extends TieredCacheError {
  constructor(
    readonly store: string,
    readonly operation: string,
    /** `open`: the circuit breaker is; the store was not asked. */
    readonly reason: keyof typeof OUTAGES,
    detail = '',
  ) {
    super(
      'store_unavailable',
      `the ${store} store did not complete "${operation}": ${OUTAGES[reason]}${detail && ` (${detail})`}`,
    );
  }
}

export const COLD_CODE = 'cold_cache';

/**
 * What the engine by itself, which knows no Nest, throws at a cold key. No application sees it: TieredCacheModule gives the engine
 * ColdCacheException in its place, of the same `code`, which Nest can answer.
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
