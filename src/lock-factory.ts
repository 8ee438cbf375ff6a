import { Logger } from '@nestjs/common';
import { durationMs } from './core/clock/duration.js';
import { resolve } from './engine-factory.js';
import { checkLockPrefix, lockStore } from './lock-store.js';
import { LockEngine } from './locks/lock-engine.js';
import { LockStoreUnavailableError } from './locks/lock.errors.js';
import { planLock } from './locks/lock.options.js';
import type { CacheStore } from './stores/contract/cache-store.js';
import { validateResolved } from './tiered-cache.options-validation.js';
import type { TieredCacheOptions } from './tiered-cache.options.js';

const logger = new Logger('CacheLockService');

/** Builds the locks' engine from options that were validated; connects to nothing. */
export async function createLockEngine(
  { locks = {}, prefix }: TieredCacheOptions,
  remote: CacheStore,
): Promise<LockEngine> {
  const { deadline, acceptEviction, acceptLossy } = locks;
  // What is wrong with the defaults is to be known at boot.
  planLock(locks);
  const wanted = await resolve(locks.store);
  validateResolved('locks.store', wanted);
  checkLockPrefix(wanted, locks.prefix);
  const { store, warning } = await lockStore(wanted, locks.prefix ?? prefix, remote);
  if (warning) logger.warn(warning);
  return new LockEngine({
    store,
    deadlineMs: deadline === undefined ? undefined : durationMs(deadline, 'locks.deadline'),
    acceptEviction,
    acceptLossy,
    onLoss: (loss) => logger.error(`${loss.message} (${loss.keys.join(', ')})`),
  });
}

/**
 * Connects, and stops the boot if the store may drop locks. One that cannot be reached is checked when it can.
 * @throws CacheUsageError `evicting_lock_store`, `lossy_lock_store`
 */
export async function checkLocks(engine: LockEngine): Promise<void> {
  try {
    await engine.ready();
  } catch (error) {
    if (!(error instanceof LockStoreUnavailableError)) throw error;
    logger.warn(`the lock store cannot be reached yet; until it can, nobody gets a lock (${error.reason})`);
  }
}
