import { applyDecorators, UseInterceptors } from '@nestjs/common';
import type { Lifetime } from '../../core/clock/duration.js';
import { ResponseCacheInterceptor } from '../response-cache.interceptor.js';
import { policyOf } from './policy-argument.js';
import { validateForValues } from './policy.validation.js';
import { markCached } from './response-cache.metadata.js';
import type { ResponseCachePolicy } from './response-cache.policy.js';

/**
 * Caches what a handler returns, on any transport: HTTP, GraphQL queries, message handlers, gateways. Interceptors further out and the
 * serialiser run on hits, too.
 * Who refreshes a stale value waits for the new one; all others are served the stale one meanwhile.
 * @param policy as `@CachePage()` takes it, without what is for whole responses only
 * @throws CacheUsageError `unknown_option`, `invalid_option`, `invalid_duration`, at definition time
 * @example @CacheResponse({ ttl: '1m', key: [byRoute(), byParams(), byUser()] })
 */
export function CacheResponse(
  policy: ResponseCachePolicy | Lifetime | (string & {}) = {},
): ClassDecorator & MethodDecorator {
  const where = '@CacheResponse';
  const given = policyOf(policy, where);
  validateForValues(given, where);
  return applyDecorators(markCached({ kind: 'value', policy: given }), UseInterceptors(ResponseCacheInterceptor));
}
