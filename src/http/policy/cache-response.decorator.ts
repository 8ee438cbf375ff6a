import { applyDecorators, UseInterceptors } from '@nestjs/common';
import type { Lifetime } from '../../core/clock/duration.js';
import { ResponseCacheInterceptor } from '../response-cache.interceptor.js';
import { policyOf } from './policy-argument.js';
import { markCached } from './response-cache.metadata.js';
import type { ResponseCachePolicy } from './response-cache.policy.js';

/**
 * Caches what a handler returns, on any transport: HTTP, GraphQL queries, message handlers, gateways. Interceptors further out and the
 * serialiser run on hits, too.
 * @param policy as `@CachePage()` takes it
 * @throws CacheUsageError `unknown_option`, `invalid_option`, `invalid_duration`, at definition time
 * @example @CacheResponse({ ttl: '1m', key: [byRoute(), byParams(), byUser()] })
 */
export function CacheResponse(
  policy: ResponseCachePolicy | Lifetime | (string & {}) = {},
): ClassDecorator & MethodDecorator {
  return applyDecorators(
    markCached({ kind: 'value', policy: policyOf(policy, '@CacheResponse') }),
    UseInterceptors(ResponseCacheInterceptor),
  );
}
