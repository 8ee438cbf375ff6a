import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import type { Lease as HeldLease } from '../lease.js';
import { lockedHttpCall } from './cache-lock.guard.js';
import { callAround } from './locked-call.js';

/** See CacheLockService. */
export type Lease = HeldLease;

/**
 * The lease of the handler's `@CacheLock()`.
 * @throws CacheUsageError `no_lease` when it is called, on a handler without one
 * @example redeem(@Lease() lease: Lease) { lease.assertHeld(); }
 */
export const Lease = createParamDecorator((_data: unknown, context: ExecutionContext) => {
  const call = context.getType() === 'http' ? lockedHttpCall(context) : callAround(context);
  if (call) return call.lease;
  throw new CacheUsageError(
    'no_lease',
    `${context.getClass().name}.${context.getHandler().name}: @Lease() needs @CacheLock() on the handler or its class`,
  );
});
