import { applyDecorators, UseInterceptors } from '@nestjs/common';
import type { Lifetime } from '../../core/clock/duration.js';
import { ResponseCacheInterceptor } from '../response-cache.interceptor.js';
import { policyOf } from './policy-argument.js';
import { markCached } from './response-cache.metadata.js';
import type { ResponseCachePolicy } from './response-cache.policy.js';

/**
 * Caches the responses of a controller or handler as they went over the wire; GET and HEAD only. A handler's decorator wins over its
 * controller's field by field, and both win over the module's base policy.
 * @param policy a policy, a lifetime (number of milliseconds, `'30s'`), or the name of one of the module's policies. Default: the base policy
 * @throws CacheUsageError `unknown_option`, `invalid_option`, `invalid_duration`, at definition time
 * @example
 * @CachePage('5m')
 * @CachePage({ extends: 'catalogue', key: [byRoute(), byParams(), byPagination()] })
 */
export function CachePage(
  policy: ResponseCachePolicy | Lifetime | (string & {}) = {},
): ClassDecorator & MethodDecorator {
  return applyDecorators(
    markCached({ kind: 'page', policy: policyOf(policy, '@CachePage') }),
    UseInterceptors(ResponseCacheInterceptor),
  );
}
