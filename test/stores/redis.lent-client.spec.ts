import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { CacheStore } from '../../src/stores/contract/cache-store.js';
import { redis, redisLocks } from '../../src/stores/redis/index.js';
import { RecordingLockListener } from '../../src/testing/lock-conformance.subject.js';
import { RecordingListener } from '../../src/testing/recording-listener.js';
import { FaultProxy } from '../servers/fault.proxy.js';
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

it('a client that was lent may give up commands early: nothing is believed before it is known whose run it is on', async () => {
  await using server = await RedisServer.start();
  await using proxy = await FaultProxy.start(server.port);
  const patient = redis({ url: server.url });
  onTestFinished(() => patient.close());
  const client = new Redis({ port: proxy.port, commandTimeout: 500 });
  client.on('error', () => undefined);
  onTestFinished(() => client.disconnect());
  await client.ping();
  proxy.delay(400);
  const store = redis({ client });
  onTestFinished(() => store.close());
  store.open(new RecordingListener());
  await expect(client.ping()).rejects.toThrow('timed out');
  await proxy.heal();
  expect(await store.tokens(['t'])).toEqual(await patient.tokens(['t']));
});

interface LentBehindProxy {
  readonly client: Redis;
  readonly proxy: FaultProxy;
  readonly told: RecordingListener;
  readonly store: CacheStore;
}

async function lentBehindProxy(options: RedisOptions): Promise<LentBehindProxy> {
  const server = await RedisServer.start();
  onTestFinished(() => server.stop());
  const proxy = await FaultProxy.start(server.port);
  onTestFinished(() => proxy.stop());
  const client = new Redis({ ...options, port: proxy.port });
  client.on('error', () => undefined);
  onTestFinished(() => client.disconnect());
  const store = redis({ client });
  onTestFinished(() => store.close());
  const told = new RecordingListener();
  store.open(told);
  await told.until('heard');
  return { client, proxy, told, store };
}

describe('a client that was lent and gives up commands early, on links that are half open', () => {
  async function silenced(): Promise<LentBehindProxy> {
    const lent = await lentBehindProxy({ commandTimeout: 100 });
    lent.proxy.blackhole();
    return lent;
  }

  it('is told that nothing is heard any more', async () => {
    const { told } = await silenced();
    await told.until('lost');
  });

  it('is cut, so that it connects anew', async () => {
    const { client, store } = await silenced();
    let isClosed = false;
    client.once('close', () => (isClosed = true));
    const asked = performance.now();
    while (!isClosed && performance.now() - asked < 5000) await expect(store.now()).rejects.toThrow();
    expect(isClosed).toBe(true);
  });
});

it('is not cut for an answer that its driver forgot with the connection of before', async () => {
  const { client, proxy, store } = await lentBehindProxy({ autoResendUnfulfilledCommands: false });
  proxy.blackhole();
  store.read(['{a}']).catch(() => undefined);
  proxy.cut();
  const back = once(client, 'ready');
  await proxy.heal();
  await back;
  let closed = 0;
  client.on('close', () => closed++);
  // Longer than a connection that owes answers may be silent, and than it takes to look.
  await sleep(1700);
  expect(closed).toBe(0);
});
