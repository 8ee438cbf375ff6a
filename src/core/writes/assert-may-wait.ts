import type { WhenDown } from '../cache.options.js';
import { StoreUnavailableError } from '../errors/cache.error.js';

/** Rethrows unless an invalidation that has failed so is to wait until the store is back. */
export function assertMayWait(error: unknown, whenDown: WhenDown): void {
  const isDown = error instanceof StoreUnavailableError && error.reason !== 'closed';
  if (!isDown || whenDown === 'reject') throw error;
}
