import type { ExecutionContext } from '@nestjs/common';
import { CacheUsageError } from '../../core/errors/cache.error.js';

interface ResolveInfo {
  readonly operation?: { readonly operation?: string };
  readonly path?: { readonly prev?: unknown };
}

/**
 * A lock of a GraphQL call is that of a query's or mutation's own field: guards may run for other fields without interceptors, and a
 * subscription's handler returns before its events.
 * @throws CacheUsageError `unsupported_lock`
 */
export function assertRootField(context: ExecutionContext): void {
  const info = context.getArgByIndex<ResolveInfo | undefined>(3);
  if (info?.path?.prev === undefined && info?.operation?.operation !== 'subscription') return;
  throw new CacheUsageError(
    'unsupported_lock',
    `${context.getClass().name}.${context.getHandler().name}: @CacheLock is for queries and mutations; elsewhere use CacheLockService.run()`,
  );
}
