import { Cluster, Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { redis, redisLocks } from '../../src/stores/redis/index.js';
import { RecordingLockListener } from '../../src/testing/lock-conformance.subject.js';
import { RecordingListener } from '../../src/testing/recording-listener.js';
import { RedisCluster } from '../servers/redis.cluster.js';
import { RedisServer } from '../servers/redis.server.js';

/** More than a driver takes before it warns of a leak. */
const CYCLES = 12;
const ASKED = { owner: 'owner', leaseMs: 1000, waitMs: 0, maxQueue: 0 };

type Emitter = Pick<Redis, 'eventNames' | 'listenerCount'>;

function listeners(client: Redis | Cluster): Array<Record<string, number>> {
  const nodes: Emitter[] = client.isCluster ? (client as Cluster).nodes('all') : [];
  return [client, ...nodes].map((emitter) =>
    Object.fromEntries(emitter.eventNames().map((name) => [String(name), emitter.listenerCount(name)])),
  );
}

async function openAndCloseCache(client: Redis | Cluster): Promise<void> {
  const store = redis({ client });
  const told = new RecordingListener();
  store.open(told);
  await told.until('heard');
  await store.tokens(['t']);
  await store.close();
}

async function openAndCloseLocks(client: Redis | Cluster): Promise<void> {
  const store = redisLocks({ client });
  store.open(new RecordingLockListener());
  expect((await store.acquire('{k}', ASKED)).outcome).toBe('granted');
  await store.release('{k}', 'owner');
  await store.close();
}

it('a client that was lent has the listeners of before when the stores on it have been closed', async () => {
  const server = await RedisServer.start();
  onTestFinished(() => server.stop());
  const client = new Redis(server.url);
  onTestFinished(() => client.disconnect());
  await client.ping();
  const before = listeners(client);
  for (let i = 0; i < CYCLES; i++) {
    await openAndCloseCache(client);
    await openAndCloseLocks(client);
  }
  expect(listeners(client)).toEqual(before);
});

it('as has a cluster that was lent, and each of its connections', { timeout: 60_000 }, async () => {
  const servers = await RedisCluster.start({ masters: 3 });
  onTestFinished(() => servers.stop());
  const client = new Cluster(servers.nodes);
  onTestFinished(() => client.disconnect());
  // All connections are made by then.
  await openAndCloseCache(client);
  const before = listeners(client);
  for (let i = 0; i < CYCLES; i++) {
    await openAndCloseCache(client);
    await openAndCloseLocks(client);
  }
  expect(listeners(client)).toEqual(before);
});

it('the listener of one store is left alone when another one is closed that was never opened', async () => {
  const client = new Redis({ lazyConnect: true });
  const store = redis({ client });
  store.open(new RecordingListener());
  const before = client.listenerCount('error');
  await redis({ client }).close();
  expect(client.listenerCount('error')).toBe(before);
  client.disconnect();
  await store.close();
});
