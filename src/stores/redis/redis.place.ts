import { isCluster } from './redis.driver.js';
import { ownConnectionOptions, type RedisStoreOptions } from './redis.options.js';

/** Where data is kept. Memory limit and eviction are the server's: another `db` on it is no separation. */
export interface RedisPlace {
  readonly server: string;
  readonly db: number;
}

/** `undefined` for clusters and sentinels. */
export function placeOf(options: RedisStoreOptions): RedisPlace | undefined {
  const lent = options.client ?? options.store?.client;
  if (options.cluster || (lent && isCluster(lent))) return undefined;
  const { host = '127.0.0.1', port = 6379, path, db = 0, sentinels } = lent?.options ?? ownConnectionOptions(options);
  return sentinels ? undefined : { server: path ?? `${host}:${port}`, db };
}
