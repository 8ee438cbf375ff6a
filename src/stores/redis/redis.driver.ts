import { redisStore } from 'cache-manager-ioredis-yet';
import type { Cluster, ClusterNode, ClusterOptions, Redis, RedisOptions } from 'ioredis';

/** What ioredis calls a client: one server (or Sentinel group), or a cluster. */
export type RedisClient = Redis | Cluster;

/** A cluster to connect to: where to begin, and further settings of ioredis. */
export interface RedisClusterTarget {
  readonly nodes: ClusterNode[];
  readonly options?: ClusterOptions | undefined;
}

// cache-manager-ioredis-yet declares its store by types that cache-manager 6 and later no longer have, so what is left of its typings
// is described here. Only `client` is ever used: its own get decodes with a codec that runs code found in the stored text.
type OwnConnection = (
  options: RedisOptions | { clusterConfig: RedisClusterTarget },
) => Promise<{ client: RedisClient }>;

/** Has cache-manager-ioredis-yet create the client; it does not connect before it is told to. */
export async function ownClient(target: RedisOptions | RedisClusterTarget): Promise<RedisClient> {
  const create = redisStore as unknown as OwnConnection;
  const store = await create('nodes' in target ? { clusterConfig: target } : target);
  return store.client;
}

/** ioredis leaves `isCluster` out of the narrowing; class names and instanceof fail across copies of the driver. */
export function isCluster(client: RedisClient): client is Cluster {
  return client.isCluster;
}
