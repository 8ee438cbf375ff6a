import type { LockStore } from '../../locks/contract/lock-store.js';
import type { RedisLockStoreOptions } from './redis.lock-options.js';
import { RedisLockStore } from './redis.lock-store.js';

/**
 * Locks on Redis or Valkey, standalone, Sentinel or Cluster. The server must not evict (`maxmemory-policy noeviction`): the opposite of
 * what a cache wants, so give locks a server of their own, or the one that your queues are on.
 *
 * A least-privilege user needs, on `~<prefix>:l*` and `&<prefix>:l*`: `+get +set +del +pexpire +pttl +time +zadd +zrem +zrange +zcard
 * +zscore +hset +hget +hdel +evalsha +script|load +publish +subscribe +ping +info +quit +select`. Without `+publish` waiters poll.
 * @throws CacheUsageError `invalid_redis_options`, `invalid_url`
 * @example TieredCacheModule.forRoot({ locks: { store: redisLocks({ url: 'redis://locks.internal:6379/0' }) } })
 */
export function redisLocks(options: RedisLockStoreOptions = {}): LockStore {
  return new RedisLockStore(options);
}
