import { CacheUsageError } from './core/errors/cache.error.js';
import { ownStore } from './own-store.js';
import { remoteKind } from './remote-url.js';
import type * as RedisPackage from './stores/redis/index.js';
import type { CacheStore } from './stores/contract/cache-store.js';
import { MemoryStore } from './stores/memory/memory.store.js';
import { NoneStore } from './stores/none/none.store.js';

/**
 * The store behind the remote tier. Drivers are loaded here, when they are asked for, and nowhere else.
 * @throws CacheUsageError `invalid_option`, `unknown_store`, `missing_package`, `store_in_use`
 */
export async function remoteStore(
  remote: CacheStore | string | undefined,
  prefix: string | undefined,
): Promise<CacheStore> {
  if (remote === undefined) return new MemoryStore();
  if (typeof remote !== 'string') {
    if (prefix === undefined) return ownStore(remote, 'remote');
    throw new CacheUsageError(
      'invalid_option',
      'prefix has no effect on a store built elsewhere: give it to the store, e.g. redis({ url, prefix })',
    );
  }
  switch (remoteKind(remote, 'remote')) {
    case 'memory':
      return new MemoryStore();
    case 'none':
      return new NoneStore();
    case 'redis': {
      const { redis } = await loadRedis();
      return redis(prefix === undefined ? { url: remote } : { url: remote, prefix });
    }
  }
}

/** @throws CacheUsageError `missing_package` */
export async function loadRedis(): Promise<typeof RedisPackage> {
  try {
    return await import('./stores/redis/index.js');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new CacheUsageError(
      'missing_package',
      'redis:// needs two more packages: npm install cache-manager-ioredis-yet ioredis',
    );
  }
}
