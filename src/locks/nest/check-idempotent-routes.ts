import { SSE_METADATA } from '@nestjs/common/constants.js';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { writesResponse } from '../../http/policy/writes-response.js';
import type { IdempotencyRecords } from '../idempotency-records.js';
import { IDEMPOTENT } from './idempotent.options.js';
import { isRoute, markedHandlers } from './locked-handlers.js';

/**
 * Looks at all `@Idempotent()` routes. `true` if there is any.
 * @throws CacheUsageError `unsupported_idempotency` for one whose answer cannot be replayed, `unsupported_lock_store`
 */
export function checkIdempotentRoutes(
  records: IdempotencyRecords,
  ...where: [Parameters<typeof markedHandlers>[1], Parameters<typeof markedHandlers>[2]]
): boolean {
  let found = false;
  for (const { type, name, handler } of markedHandlers(IDEMPOTENT, ...where)) {
    if (!isRoute(handler)) continue;
    found = true;
    if (!writesResponse(type, handler) && !Reflect.hasMetadata(SSE_METADATA, handler)) continue;
    throw new CacheUsageError(
      'unsupported_idempotency',
      `${type.name}.${name}: @Idempotent cannot replay what @Res(), @Next() or @Sse() answers; return the answer, or use @Res({ passthrough: true })`,
    );
  }
  if (found) records.check();
  return found;
}
