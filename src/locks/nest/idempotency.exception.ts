import { HttpException } from '@nestjs/common';
import { retryAfterSeconds } from '../../core/clock/retry-after.js';

/** Stable codes of {@link IdempotencyException}. */
export type IdempotencyRefusal =
  | 'idempotency_key_missing'
  | 'idempotency_key_invalid'
  | 'idempotency_key_reused'
  | 'idempotency_in_flight'
  | 'idempotency_answer_lost';

const ANSWERS: Readonly<Record<IdempotencyRefusal, readonly [number, string, string]>> = {
  idempotency_key_missing: [400, 'Bad Request', 'This request needs an Idempotency-Key'],
  idempotency_key_invalid: [400, 'Bad Request', 'The Idempotency-Key is no string of 1 to 255 characters'],
  idempotency_key_reused: [422, 'Unprocessable Content', 'The Idempotency-Key was used for another request'],
  idempotency_in_flight: [409, 'Conflict', 'A request with this Idempotency-Key is under way'],
  idempotency_answer_lost: [409, 'Conflict', 'The request was carried out before; its answer was not kept'],
};

/** What `@Idempotent()` answers in place of the handler, in the statuses of the IETF draft: `{ statusCode, error, code, message, retryAfterMs }`. */
export class IdempotencyException extends HttpException {
  constructor(
    readonly code: IdempotencyRefusal,
    /** When it is worth trying again. */
    readonly retryAfterMs?: number,
  ) {
    const [statusCode, error, message] = ANSWERS[code];
    super({ statusCode, error, code, message, ...(retryAfterMs !== undefined && { retryAfterMs }) }, statusCode);
  }

  /** For a `Retry-After` header: whole seconds, at least one; `undefined` where trying again is of no use. */
  get retryAfterSeconds(): number | undefined {
    return this.retryAfterMs === undefined ? undefined : retryAfterSeconds(this.retryAfterMs);
  }
}
