import { applyDecorators, UseGuards, UseInterceptors } from '@nestjs/common';
import { IdempotentGuard } from './idempotent.guard.js';
import { IdempotentInterceptor } from './idempotent.interceptor.js';
import { markIdempotent, type IdempotentOptions } from './idempotent.options.js';

/**
 * Carries out each request once for a user, a route and an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), and answers
 * repeated ones with what the first was answered, and `Idempotent-Replayed: true`. While it is under way: 409 with `Retry-After`. Without
 * a key, or with a malformed one: 400. With the key of another request: 422. Answers of status 5xx, 408, 425 and 429 are not kept.
 *
 * "Under way" is a lock that is renewed: a crash frees the key within `lease`. So a request whose process died, or whose answer could not be
 * kept, may be carried out again: what must not be is to be refused by the database.
 *
 * Put it above the guard that recognises the caller, and below `@CacheLock()`, so that a repeated request needs no lock.
 * @throws CacheUsageError `unknown_option`, `invalid_option`, `invalid_duration`, at definition time
 * @example
 * @Post(':id/redeem')
 * @CacheLock({ key: ({ params }) => ['policy', params.id] })
 * @Idempotent()
 * @UseGuards(JwtGuard)
 * redeem() {}
 */
export function Idempotent(options: IdempotentOptions = {}): ClassDecorator & MethodDecorator {
  return applyDecorators(markIdempotent(options), UseGuards(IdempotentGuard), UseInterceptors(IdempotentInterceptor));
}
