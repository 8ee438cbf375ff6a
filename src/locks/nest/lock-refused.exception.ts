import { HttpException } from '@nestjs/common';
import { retryAfterSeconds } from '../../core/clock/retry-after.js';

/** Why a call did not get its lock, or its result was withheld (`lock_lost` with `onLost: 'fail'`). */
export type LockRefusal =
  'resource_locked' | 'lock_store_unavailable' | 'lock_lost' | 'invalid_lock_key' | 'client_closed';

const MESSAGES: Readonly<Record<LockRefusal, string>> = {
  resource_locked: 'The resource is in use by another request; try again shortly',
  lock_store_unavailable: 'Locks are not available; try again shortly',
  lock_lost: 'The lock on the resource was lost',
  invalid_lock_key: 'What the request names is incomplete or malformed',
  client_closed: 'The client has left',
};

const ERRORS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  409: 'Conflict',
  423: 'Locked',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
};

/**
 * What `@CacheLock()` answers in place of the handler: `{ statusCode, error, code, message, retryAfterMs }`. The keys are in `cause` only. To
 * a GraphQL client it is an error with `extensions.code`, e.g. `RESOURCE_LOCKED`.
 */
export class LockRefusedException extends HttpException {
  /** Read by graphql-js, and by Apollo for the status and the header. */
  readonly extensions: object;

  constructor(
    readonly code: LockRefusal,
    status: number,
    /** When it is worth trying again. */
    readonly retryAfterMs?: number,
    /** The error of the lock. */
    cause?: unknown,
  ) {
    const message = MESSAGES[code];
    const later = retryAfterMs === undefined ? {} : { retryAfterMs };
    super({ statusCode: status, error: ERRORS[status], code, message, ...later }, status, { cause });
    const headers = new Map(retryAfterMs === undefined ? [] : [['retry-after', String(this.retryAfterSeconds)]]);
    this.extensions = { code: code.toUpperCase(), ...later, http: { status, headers } };
  }

  /** For a `Retry-After` header: whole seconds, at least one; `undefined` where trying again is of no use. */
  get retryAfterSeconds(): number | undefined {
    return this.retryAfterMs === undefined ? undefined : retryAfterSeconds(this.retryAfterMs);
  }
}
