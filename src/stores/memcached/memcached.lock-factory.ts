import type { LockStore } from '../../locks/contract/lock-store.js';
import { MemcachedLockStore } from './memcached.lock-store.js';
import type { MemcachedStoreOptions } from './memcached.options.js';

/**
 * Locks on a recent Memcached 1.6 (it must know meta commands), for what only saves work: it may drop a held lock when its memory is full, and forgets all of them
 * when it restarts. So the module refuses it without `locks: { acceptLossy: true }`. There are no fencing tokens and no order of arrival,
 * and `@Idempotent()` needs another store. Locks of processes that died are free up to 3 s later than their lease.
 * @throws CacheUsageError `invalid_memcached_options`, `invalid_url`
 * @example
 * TieredCacheModule.forRoot({ locks: { store: memcachedLocks({ url: 'memcached://cache.internal:11211' }), acceptLossy: true } })
 */
export function memcachedLocks(options: MemcachedStoreOptions = {}): LockStore {
  return new MemcachedLockStore(options);
}
