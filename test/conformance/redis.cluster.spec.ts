import { afterAll, beforeAll, describe, it } from 'vitest';
import { redis } from '../../src/stores/redis/index.js';
import { storeConformance } from '../../src/testing/store-conformance.js';
import { RedisCluster } from '../servers/redis.cluster.js';

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await RedisCluster.start({ masters: 3 });
});
afterAll(() => cluster.stop());

storeConformance({
  describe,
  it,
  name: 'redis store on a cluster',
  lacks: ['scan'],
  create: () => ({
    store: () => redis({ cluster: { nodes: cluster.nodes }, prefix: 'conformance' }),
    flush: () => cluster.toMasters('FLUSHALL'),
    close: () => cluster.toMasters('FLUSHALL'),
  }),
});
