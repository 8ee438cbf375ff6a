import { applyDecorators, SetMetadata, UseFilters, UseGuards, UseInterceptors } from '@nestjs/common';
import { CacheLockGuard } from './cache-lock.guard.js';
import { CacheLockInterceptor } from './cache-lock.interceptor.js';
import { CACHE_LOCK } from './cache-lock.metadata.js';
import { checkCacheLockOptions, type CacheLockOptions } from './cache-lock.options.js';
import { LockMessageFilter } from './lock-message.filter.js';

/**
 * Runs a handler, or each handler of a class, while it holds a lock. Over HTTP the lock is taken by a guard, before interceptors begin (a
 * transaction, say), and given up when the work is over *and* the response has been sent or its connection is gone. Elsewhere it is held
 * while the handler runs. Who finds it held is answered 429 with `Retry-After` and `code: 'resource_locked'`; if the lock store cannot be
 * asked 503, if a part of the key is missing 400; a result is never replaced by an error of the lock.
 *
 * It only adds metadata. Put it *above* the guards that recognise the caller: they run in the order from below.
 * @throws CacheUsageError `unknown_option`, `invalid_option`, `invalid_duration`, `invalid_key`, at definition time
 * @example
 * @Post(':id/redeem')
 * @CacheLock({ key: ({ params }) => ['policy', params.id], lease: '30s' })
 * @UseGuards(JwtGuard)
 * redeem(@Param('id') id: string, @Lease() lease: Lease) {}
 */
export function CacheLock(options: CacheLockOptions): ClassDecorator & MethodDecorator {
  checkCacheLockOptions(options);
  return applyDecorators(
    SetMetadata(CACHE_LOCK, options),
    UseGuards(CacheLockGuard),
    UseInterceptors(CacheLockInterceptor),
    UseFilters(LockMessageFilter),
  );
}
