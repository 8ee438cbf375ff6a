import { afterAll, beforeAll, expect, it } from 'vitest';
import { allOf } from '../../src/index.js';
import { redisLocks } from '../../src/stores/redis/index.js';
import { until } from '../faults/subject.js';
import { RedisCluster } from '../servers/redis.cluster.js';
import { failure, openLocks } from './subject.js';

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await RedisCluster.start({ masters: 3 });
});
afterAll(() => cluster.stop());

const open = () => openLocks({ store: redisLocks({ cluster: { nodes: cluster.nodes } }) }).locks;

it('on a cluster the keys of a lock share a slot, and waiters poll in order', async () => {
  const [one, two] = [open(), open()];
  const lease = await one.acquire(allOf(['policy', 1], ['policy', 2], 'k'));
  expect(await two.tryAcquire('k')).toBeUndefined();
  const waits = two.acquire('k', { wait: '20s' });
  await until(async () => (await one.inspect('k'))?.waiting === 1, 2000);
  await lease.extend();
  expect(await lease.release()).toBe('released');
  const next = await waits;
  expect(next.fencingToken).toBeGreaterThan(lease.fencingTokenOf('k') as bigint);
  expect(await next.release()).toBe('released');
});

it('on a cluster WAIT would ask any node', async () => {
  const { nodes } = cluster;
  expect(await failure((async () => redisLocks({ cluster: { nodes }, confirmReplicas: 1 }))())).toMatchObject({
    code: 'invalid_redis_options',
  });
});
