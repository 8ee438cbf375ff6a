import { HttpException, HttpStatus } from '@nestjs/common';
import { retryAfterSeconds } from '../core/clock/retry-after.js';
import { COLD_CODE } from '../core/errors/cache.error.js';

/**
 * There is no value, somebody else is computing it, and the caller would not or could not wait any longer: 503, with `Retry-After` where
 * the answer has headers. To a GraphQL client it is an error with `extensions.code` `COLD_CACHE`. Thrown by the cache it has
 * no stack, only the `key`.
 * (After django-function-caching's `ColdCacheException`.)
 */
export class ColdCacheException extends HttpException {
  readonly code = COLD_CODE;
  /** Read by graphql-js, and by Apollo for the status and the header. */
  readonly extensions: object;

  constructor(
    /** As encoded. */
    readonly key: string,
    /** When it is worth asking again. */
    readonly retryAfterMs: number,
  ) {
    // The key stays out of what a client sees.
    const message = 'The answer is being computed; try again shortly';
    super({ statusCode: HttpStatus.SERVICE_UNAVAILABLE, message, error: 'Service Unavailable', code: COLD_CODE }, 503);
    const { retryAfterSeconds } = this;
    this.extensions = {
      code: 'COLD_CACHE',
      retryAfterMs,
      http: { status: 503, headers: new Map([['retry-after', String(retryAfterSeconds)]]) },
    };
  }

  /** For a `Retry-After` header: whole seconds, at least one. */
  get retryAfterSeconds(): number {
    return retryAfterSeconds(this.retryAfterMs);
  }
}
