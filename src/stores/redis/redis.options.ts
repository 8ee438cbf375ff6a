import type { ClusterOptions, RedisOptions } from 'ioredis';
import { fitsTimer, TIMER_RANGE } from '../../core/clock/clock.js';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import type { RedisClient, RedisClusterTarget } from './redis.driver.js';
import { parseRedisUrl } from './redis.url.js';

/** Replies of commands that were sent together arrive within this time. */
const ONE_MOMENT_MS = 100;

/** Where the server is: at most one of `url`, `cluster`, `client`, `store`. Default `redis://127.0.0.1:6379`. */
export interface RedisStoreOptions {
  /** `redis[s]://[user:password@]host[:port][/db]`. */
  url?: string | undefined;
  /** Start nodes of a Redis Cluster. */
  cluster?: RedisClusterTarget | undefined;
  /** An ioredis client of yours, without `stringNumbers`; one of a cluster, that reads from masters. It is never closed or reconfigured. */
  client?: RedisClient | undefined;
  /** A store of cache-manager-ioredis-yet, of which only the `client` is used. */
  store?: { readonly client: RedisClient } | undefined;
  /** Further ioredis settings of a connection opened here, such as `tls`, `sentinels` or `family`. */
  connection?: RedisOptions | undefined;
  /** In front of every key: `<prefix>:e:` entries, `<prefix>:l:` leases, `<prefix>:t:` tokens. Default `tc`. */
  prefix?: string | undefined;
  /** Milliseconds until an attempt to connect has failed. Default 1000. */
  connectTimeout?: number | undefined;
  /**
   * What `set` and the like write is sent to every process, if its frame has no more bytes than this (value and some 100 bytes): one that holds the
   * key in memory then goes on with it, instead of asking. So is what is loaded, if somebody else has asked for it
   * meanwhile. Default 1024; 0 sends none. Not on Cluster.
   */
  sendValuesUpTo?: number | undefined;
}

const NAMES = ['url', 'cluster', 'client', 'store', 'connection', 'prefix', 'connectTimeout', 'sendValuesUpTo'];

/** @param more names besides those of RedisStoreOptions @throws CacheUsageError `invalid_redis_options` */
export function checkRedisOptions(options: RedisStoreOptions, more: readonly string[] = []): void {
  const names = [...NAMES, ...more];
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown !== undefined) throw invalid(`unknown option "${unknown}"; known are ${names.join(', ')}`);
  const sources = (['url', 'cluster', 'client', 'store'] as const).filter((name) => options[name] !== undefined);
  if (sources.length > 1) throw invalid(`give one of ${sources.join(', ')}, not several`);
  if (options.prefix !== undefined && !/^[\x21-\x7a|~]{1,64}$/.test(options.prefix))
    throw invalid('prefix must be 1 to 64 printable ASCII characters without braces and white space');
  const timeout = options.connectTimeout;
  if (timeout !== undefined && !fitsTimer(timeout)) throw invalid(`connectTimeout must be ${TIMER_RANGE}`);
  const { sendValuesUpTo } = options;
  if (sendValuesUpTo !== undefined && !(sendValuesUpTo >= 0)) throw invalid('sendValuesUpTo must be bytes >= 0');
}

/**
 * A replica that lags has entries and tokens of before an invalidation that was acknowledged.
 * @throws CacheUsageError `invalid_redis_options`
 */
export function checkReadsMasters({ cluster, client, store }: RedisStoreOptions): void {
  const { scaleReads } = ((client ?? store?.client)?.options ?? cluster?.options ?? {}) as ClusterOptions;
  if (scaleReads !== undefined && scaleReads !== 'master')
    throw invalid("scaleReads must be 'master': replicas still have what was invalidated, for as long as they lag");
}

/**
 * Texts in the place of numbers would be taken for refusals.
 * @throws CacheUsageError `invalid_redis_options`
 */
export function checkNumbers(lent: RedisClient | undefined): void {
  const { stringNumbers, redisOptions } = (lent?.options ?? {}) as RedisOptions & ClusterOptions;
  if (stringNumbers || redisOptions?.stringNumbers)
    throw invalid('the client must not have stringNumbers: give url or connection, or lend another one');
}

/** What a connection opened here is told: fail fast, never queue, never repeat a command, reconnect for ever. */
export function ownConnectionOptions(options: RedisStoreOptions): RedisOptions {
  return {
    ...(options.cluster ? {} : parseRedisUrl(options.url ?? 'redis://127.0.0.1:6379')),
    keepAlive: 10_000,
    disableClientInfo: true,
    reconnectOnError: leavingReplicas(),
    ...options.connection,
    ...linkOptions(options),
  };
}

/**
 * A former master after a failover: who is the master is to be asked again. Once for the refusals of one moment: the driver would set up an end of
 * the same connection for each of them.
 */
function leavingReplicas(): (error: Error) => boolean {
  let leftAt = -Infinity;
  return ({ message }) => {
    const now = performance.now();
    if (!message.startsWith('READONLY') || now - leftAt < ONE_MOMENT_MS) return false;
    leftAt = now;
    return true;
  };
}

/** The settings that our promises depend on, for every connection opened here. */
export function linkOptions(options: RedisStoreOptions): RedisOptions {
  return {
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    enableAutoPipelining: false,
    stringNumbers: false,
    // What is given up early looks answered: a link that is half open would never be found out.
    commandTimeout: undefined,
    // A sentinel lets a master that it has replaced go on for seconds, and leaves its clients there.
    failoverDetector: true,
    maxRetriesPerRequest: 0,
    connectTimeout: options.connectTimeout ?? 1000,
    disconnectTimeout: 200,
    retryStrategy: (attempt) => Math.min(50 * attempt, 250),
  };
}

function invalid(mend: string): CacheUsageError {
  return new CacheUsageError('invalid_redis_options', `redis: ${mend}`);
}
