import { CacheUsageError } from './core/errors/cache.error.js';
import type { LockStore, LockStoreSource } from './locks/contract/lock-store.js';
import { lockKind } from './remote-url.js';
import { ownStore } from './own-store.js';
import { loadRedis } from './remote-store.js';
import type { CacheStore } from './stores/contract/cache-store.js';
import { MemoryLockStore } from './stores/memory/memory.lock-store.js';

/** Which store keeps the locks. */
export interface ChosenLockStore {
  readonly store: LockStore;
  /** What somebody should know about the choice. */
  readonly warning?: string | undefined;
}

/**
 * The store of the locks: the one that was asked for, or the server of the cache. Drivers are loaded here, when they are asked for.
 * @throws CacheUsageError `invalid_option`, `unknown_store`, `missing_package`, `store_in_use`
 */
export async function lockStore(
  wanted: LockStore | string | undefined,
  prefix: string | undefined,
  remote: CacheStore,
): Promise<ChosenLockStore> {
  if (wanted === undefined) return isSource(remote) ? { store: remote.lockStore() } : inProcess(remote);
  const store = typeof wanted === 'string' ? await byUrl(wanted, prefix) : ownStore(wanted, 'locks.store');
  return { store, warning: sharedServer(remote, store) };
}

async function byUrl(url: string, prefix: string | undefined): Promise<LockStore> {
  const options = prefix === undefined ? { url } : { url, prefix };
  switch (lockKind(url, 'locks.store')) {
    case 'memory':
      return new MemoryLockStore();
    case 'memcached': {
      const { memcachedLocks } = await import('./stores/memcached/index.js');
      return memcachedLocks(options);
    }
    case 'redis': {
      const { redisLocks } = await loadRedis();
      return redisLocks(options);
    }
  }
}

function inProcess(remote: CacheStore): ChosenLockStore {
  const isShared = !['memory', 'none'].includes(remote.name);
  const warning = `the ${remote.name} store keeps no locks, so that they hold within this process only; set locks.store`;
  return { store: new MemoryLockStore(), ...(isShared && { warning }) };
}

/** Eviction and memory limit are the server's: another `db` on it separates nothing. */
function sharedServer(remote: CacheStore, store: LockStore): string | undefined {
  const [cache, locks] = [placeOf(remote), placeOf(store)];
  if (!cache || !locks || cache.server !== locks.server || cache.db === locks.db) return undefined;
  return 'locks and cache are on one server with different database numbers: they still share its memory limit and eviction policy, of which they need opposite ones';
}

interface Place {
  readonly server: string;
  readonly db: number;
}

function placeOf(store: object): Place | undefined {
  return (store as { place?: Place }).place;
}

function isSource(store: object): store is LockStoreSource {
  return typeof (store as Partial<LockStoreSource>).lockStore === 'function';
}

/** `prefix` would have no effect. @throws CacheUsageError `invalid_option` */
export function checkLockPrefix(wanted: LockStore | string | undefined, prefix: string | undefined): void {
  if (prefix === undefined || typeof wanted === 'string') return;
  throw new CacheUsageError(
    'invalid_option',
    'locks.prefix is for a store named by URL in locks.store: give it to the store, e.g. redisLocks({ url, prefix })',
  );
}
