import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ClusterOptions } from 'ioredis';
import { CacheEngine } from '../../src/core/cache-engine.js';
import type { CacheService } from '../../src/core/cache.service.js';
import { FaultProxy } from '../servers/fault.proxy.js';
import { RedisCluster } from '../servers/redis.cluster.js';
import type { RedisServer } from '../servers/redis.server.js';
import { heard, openEngine, until, type Fleet } from './subject.js';

// One cluster, which every block leaves as the next one says it finds it.
let cluster: RedisCluster;
let first: RedisServer;
let replica: RedisServer;
let spare: RedisServer;
beforeAll(async () => {
  cluster = await RedisCluster.start({ masters: 3, replicas: 1, spares: 1 });
  [first, replica, spare] = cluster.servers.filter((_, i) => [0, 3, 4].includes(i)) as [
    RedisServer,
    RedisServer,
    RedisServer,
  ];
});
afterAll(() => cluster.stop());

/** A process. */
function open(options?: ClusterOptions): CacheEngine {
  return openEngine({ cluster: { nodes: cluster.nodes, options } });
}

/** Some on each master. */
const keys = Array.from({ length: 24 }, (_, i) => `k${i}`);

/** `there` has `old` under all keys in its memory tier, for hours if nothing happens. */
async function remembering(options?: ClusterOptions): Promise<Fleet> {
  const [acting, listening] = await Promise.all([heard(open()), heard(open(options))]);
  const here = acting.namespace('default');
  const there = listening.namespace('default');
  const set = (key: string): Promise<boolean> => here.set(key, 'old', { ttl: '1h', tags: ['t'] });
  await until(async () => (await Promise.all(keys.map(set))).every(Boolean), 5000);
  await until(async () => (await there.getMany(keys)).every(({ tier }) => tier === 'memory'), 5000);
  return { here, there, listening };
}

const remembered = (cache: CacheService): string[] => keys.filter((key) => cache.peek(key) === 'old');

/** What `there` would serve, memory or not. */
async function served(cache: CacheService): Promise<unknown[]> {
  return (await cache.getMany(keys)).map((hit) => (hit.isFound ? hit.value : undefined));
}

describe('three masters', () => {
  const changes: Record<string, (fleet: Fleet) => Promise<unknown>> = {
    'is deleted': ({ here }) => here.deleteMany(keys),
    'is set anew': ({ here }) => Promise.all(keys.map((key) => here.set(key, 'new'))),
    'is under a cleared namespace': ({ here }) => here.clear(),
    'carries an invalidated tag': ({ here }) => here.invalidateTags(['t']),
    'is flushed by somebody else': () => cluster.toMasters('FLUSHALL'),
  };

  it.each(Object.keys(changes))('the memory tier of another process drops what %s, on each of them', async (name) => {
    const fleet = await remembering();
    expect(remembered(fleet.there)).toEqual(keys);
    await changes[name]?.(fleet);
    await until(() => remembered(fleet.there).length === 0, 1000);
    expect(await served(fleet.there)).not.toContain('old');
    expect(fleet.listening.inspect().isHeard).toBe(true);
  });
});

describe('the listening connection to one master', () => {
  it('is killed while keys are changed: nothing old is read afterwards', async () => {
    for (let round = 0; round < 3; round++) {
      const { here, there, listening } = await remembering();
      await Promise.all([first.command('CLIENT', 'KILL', 'TYPE', 'pubsub'), here.deleteMany(keys)]);
      await until(() => !listening.inspect().isHeard, 1000);
      await heard(listening);
      expect(remembered(there)).toEqual([]);
      expect(await served(there)).not.toContain('old');
    }
  });

  it('is half open: that is noticed within 2 s, and made good', async () => {
    await using proxy = await FaultProxy.start(first.port);
    const natMap = { [`127.0.0.1:${first.port}`]: { host: '127.0.0.1', port: proxy.port } };
    const { here, there, listening } = await remembering({ natMap });
    proxy.blackhole();
    await here.deleteMany(keys);
    expect(await until(() => !listening.inspect().isHeard, 5000)).toBeLessThan(2000);
    await proxy.heal();
    await heard(listening);
    expect(remembered(there)).toEqual([]);
    expect(await served(there)).not.toContain('old');
  });
});

it('a user who may not track on one of them hears nothing, and remembers for 5 s at most', async () => {
  await cluster.toMasters('ACL', 'SETUSER', 'deaf', 'on', '>pw', '~*', '&*', '+@all');
  await first.command('ACL', 'SETUSER', 'deaf', '-client|tracking');
  const listening = open({ redisOptions: { username: 'deaf', password: 'pw' } });
  const there = listening.namespace('default');
  await until(() => there.set('k', 'v', { ttl: '1h' }), 5000);
  await until(async () => (await there.get('k')).tier === 'memory', 1000);
  expect((await there.explain('k')).memory?.expiresInMs).toBeLessThanOrEqual(5000);
  expect(listening.inspect().isHeard).toBe(false);
});

describe('a slot moves', () => {
  it('to another master: what is changed there is heard', async () => {
    const { here, there, listening } = await remembering();
    const [from, to] = [first, cluster.masters[1] as RedisServer];
    const key = await keyOn(from);
    await cluster.migrate(await slotOf(key), from, to);
    // It has gone from where it was read.
    await until(() => there.peek(key) === undefined, 1000);
    expect(await valueOf(there, key)).toBe('old');
    await until(async () => (await there.get(key)).tier === 'memory', 1000);
    await here.set(key, 'new');
    await until(() => there.peek(key) === undefined, 1000);
    expect(await valueOf(there, key)).toBe('new');
    expect(listening.inspect().isHeard).toBe(true);
  });

  it('to a server that had none: that is noticed within 2 s', async () => {
    const { there, listening } = await remembering();
    const from = cluster.masters[2] as RedisServer;
    await cluster.migrate(await slotOf(await keyOn(from)), from, spare);
    await until(() => !listening.inspect().isHeard, 2000);
    await heard(listening);
    // Other masters, and so a new cache.
    expect(await served(there)).not.toContain('old');
  });

  it('to a server that had none: that is noticed before an answer of it is believed', async () => {
    const from = cluster.masters[2] as RedisServer;
    await cluster.migrate(await slotOf(await keyOn(from)), spare, from);
    const { here, there, listening } = await remembering();
    const key = await keyOn(from);
    const lost = vi.spyOn(listening.coherence, 'lost');
    await withoutSlots(async () => {
      await cluster.migrate(await slotOf(key), from, spare);
      // It has gone from where it was read, so that the server that has it now is asked.
      await until(() => there.peek(key) === undefined, 1000);
      // On a busy machine not within the deadline at once.
      const isAnswered = (): Promise<boolean> => there.getManyShared([key]).then(Boolean, () => false);
      await until(isAnswered, 5000);
      // On a busy machine it may be heard again by now.
      expect(lost).toHaveBeenCalled();
    });
    await heard(listening);
    await until(async () => (await here.set(key, 'new', { ttl: '1h' })) && (await there.get(key)).isFound, 2000);
    await until(async () => (await there.get(key)).tier === 'memory', 1000);
    await spare.command('FLUSHALL');
    await until(() => there.peek(key) === undefined, 1000);
  });
});

it('a master comes back from an old snapshot: what was invalidated since then stays so', async () => {
  const { here, there, listening } = await remembering();
  const server = cluster.masters[1] as RedisServer;
  await server.command('SAVE');
  await here.deleteMany(keys);
  // A server answers and reports in two writes: killed between them, it would leave `there` its five seconds.
  await until(() => remembered(there).length === 0, 1000);
  await server.restart();
  expect(await server.command('KEYS', 'tc:e:*')).not.toEqual([]);
  const looksRight = async (): Promise<void> => expect(await served(there)).not.toContain('old');
  await until(() => looksRight().then(() => !listening.inspect().isHeard), 5000);
  await until(() => looksRight().then(() => listening.inspect().isHeard), 5000);
  await looksRight();
});

it('while the cluster does not work nothing counts as heard', async () => {
  const { there, listening } = await remembering();
  const last = cluster.masters[2] as RedisServer;
  await last.command('CLUSTER', 'DELSLOTS', 16_383);
  await until(() => !listening.inspect().isHeard, 2000);
  await last.command('CLUSTER', 'ADDSLOTS', 16_383);
  await heard(listening);
  expect(remembered(there)).toEqual([]);
});

describe('a master is replaced by its replica', () => {
  it('and lives on without being told of changes: noticed within 2 s', async () => {
    const { here, there, listening } = await remembering();
    // The new master lets nobody follow it.
    await replica.command('ACL', 'SETUSER', 'default', '-psync', '-sync');
    await replica.command('CLUSTER', 'FAILOVER', 'TAKEOVER');
    await until(async () => (await roleOf(first)) === 'slave', 5000);
    expect(await until(() => remembered(there).length === 0, 5000)).toBeLessThan(2000);
    await here.deleteMany(keys);
    await heard(listening);
    expect(await served(there)).not.toContain('old');
    // Not SYNC before that: who was refused PSYNC a moment ago would take it, and follow by it without an offset, and without what comes.
    await replica.command('ACL', 'SETUSER', 'default', '+psync');
    await until(async () => String(await first.command('INFO', 'replication')).includes('link_status:up'), 10_000);
    await replica.command('ACL', 'SETUSER', 'default', '+sync');
  });

  it('that has missed the last invalidations: they hold all the same', async () => {
    const { here, there, listening } = await remembering();
    const kept = (): Promise<unknown> => first.command('KEYS', 'tc:e:*');
    await until(async () => String(await kept()).length > 0, 2000);
    await replica.command('ACL', 'SETUSER', 'default', '-psync', '-sync');
    await replica.command('CLIENT', 'KILL', 'TYPE', 'replica');
    await here.deleteMany(keys);
    await until(() => remembered(there).length === 0, 1000);
    expect(await kept()).not.toEqual([]);
    await withoutSlots(async () => {
      await first.command('CLUSTER', 'FAILOVER', 'TAKEOVER');
      await until(async () => (await roleOf(replica)) === 'slave', 5000);
      expect(await served(there)).not.toContain('old');
    });
    await heard(listening);
    expect(await served(there)).not.toContain('old');
  });

  it('because it died: what is changed on the new one is heard', async () => {
    await until(async () => String(await replica.command('INFO', 'replication')).includes('link_status:up'), 10_000);
    const { here, there, listening } = await remembering();
    await first.kill();
    await until(async () => (await roleOf(replica)) === 'master', 10_000);
    await heard(listening);
    const key = await keyOn(first);
    await until(async () => (await here.set(key, 'new', { ttl: '1h' })) && (await there.get(key)).isFound, 15_000);
    await until(async () => (await there.get(key)).tier === 'memory', 5000);
    await here.delete(key);
    await until(() => there.peek(key) === undefined, 2000);
  });
});

/** Meanwhile the driver cannot ask who has which slot: it learns what it is told on the way. */
async function withoutSlots(body: () => Promise<void>): Promise<void> {
  const all = (right: string): Promise<unknown> =>
    Promise.all(cluster.servers.map((server) => server.command('ACL', 'SETUSER', 'default', `${right}cluster|slots`)));
  await all('-');
  try {
    await body();
  } finally {
    await all('+');
  }
}

async function slotOf(key: string): Promise<number> {
  return Number(await spare.command('CLUSTER', 'KEYSLOT', key));
}

/** One whose slot that server has had from the beginning. */
async function keyOn(server: RedisServer): Promise<string> {
  for (const key of keys) if ((await cluster.masterOf(key)) === server) return key;
  throw new Error('all keys are on other servers');
}

async function valueOf(cache: CacheService, key: string): Promise<unknown> {
  return (await cache.get(key)).getValueOrDefault(undefined);
}

async function roleOf(server: RedisServer): Promise<string | undefined> {
  return /role:(\w+)/.exec(String(await server.command('INFO', 'replication')))?.[1];
}
