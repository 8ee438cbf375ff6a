import type { CacheStore } from '../contract/cache-store.js';
import type { RedisStoreOptions } from './redis.options.js';
import { RedisStore } from './redis.store.js';

/**
 * The shared tier on Redis or Valkey. Connects when the module opens it; a server that is down at boot is no error.
 *
 * A least-privilege user needs, on `~<prefix>:*` and `&<prefix>:*`: `+get +getrange +mget +set +del +unlink +pexpire +pttl +time
 * +evalsha +script|load +publish +ping +info +quit +select`, and to hear of changes `&__redis__:invalidate +subscribe +client|id
 * +client|tracking`; on Cluster also `+cluster|slots +cluster|info`. With `+multi +exec` updates are seen elsewhere a little sooner.
 * @throws CacheUsageError `invalid_redis_options`, `invalid_url`
 * @example TieredCacheModule.forRoot({ remote: redis({ url: 'rediss://app:secret@cache.internal:6380/0', prefix: 'shop' }) })
 */
export function redis(options: RedisStoreOptions = {}): CacheStore {
  return new RedisStore(options);
}
