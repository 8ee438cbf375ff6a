import { fitsTimer, TIMER_RANGE } from '../../core/clock/clock.js';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { checkRedisOptions, type RedisStoreOptions } from './redis.options.js';

/**
 * Where the locks are: as for the cache store, except that a `client` or `store` of yours only says where the server is. Locks travel on
 * connections of their own (opened with the same settings, closed with the application): their promises depend on order, on deadlines and
 * on no command being repeated. Only of a cluster client is the client itself used.
 */
export interface RedisLockStoreOptions extends RedisStoreOptions {
  /**
   * Grants a lock only once so many replicas have it (`WAIT`), and takes it back where they have not in time. It narrows the window in
   * which a failover forgets a lock; it does not close it. Not for clusters. Default 0.
   */
  confirmReplicas?: number | undefined;
  /** Milliseconds that {@link confirmReplicas} waits; the connection is blocked meanwhile. Default 100. */
  confirmTimeout?: number | undefined;
}

/** @throws CacheUsageError `invalid_redis_options` */
export function checkRedisLockOptions(options: RedisLockStoreOptions): void {
  checkRedisOptions(options, ['confirmReplicas', 'confirmTimeout']);
  const { confirmReplicas, confirmTimeout, cluster, client, store } = options;
  if (confirmReplicas !== undefined && !(Number.isSafeInteger(confirmReplicas) && confirmReplicas >= 0))
    throw invalid('confirmReplicas must be a whole number of at least 0');
  if (confirmTimeout !== undefined && !fitsTimer(confirmTimeout))
    throw invalid(`confirmTimeout must be ${TIMER_RANGE}`);
  if (confirmReplicas && (cluster ?? (client ?? store?.client)?.isCluster))
    throw invalid('confirmReplicas does not work with a cluster, where WAIT would ask any node');
}

function invalid(mend: string): CacheUsageError {
  return new CacheUsageError('invalid_redis_options', `redis locks: ${mend}`);
}
