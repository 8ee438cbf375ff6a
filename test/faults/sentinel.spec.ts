import { describe, expect, it } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import type { CacheService } from '../../src/core/cache.service.js';
import { RedisSentinel } from '../servers/redis.sentinel.js';
import { heard, openEngine, until, type Fleet } from './subject.js';

function open({ connection }: RedisSentinel): CacheEngine {
  return openEngine({ connection });
}

/** `there` has `old` in its memory tier. */
async function remembering(group: RedisSentinel): Promise<Fleet> {
  const [acting, listening] = await Promise.all([heard(open(group)), heard(open(group))]);
  const [here, there] = [acting.namespace('default'), listening.namespace('default')];
  await until(() => here.set('k', 'old', { ttl: '1h' }), 2000);
  await until(async () => (await there.get('k')).tier === 'memory', 1000);
  return { here, there, listening };
}

async function valueOf(cache: CacheService): Promise<unknown> {
  return (await cache.get('k')).getValueOrDefault(undefined);
}

describe('the master of the cache is replaced by a sentinel', () => {
  it('by a replica that has missed the last invalidation: only misses', async () => {
    await using group = await RedisSentinel.start();
    const { here, there, listening } = await remembering(group);
    await until(async () => String(await group.replica.command('KEYS', 'tc:e:*')) !== '', 2000);
    await group.lag();
    await here.delete('k', { whenDown: 'reject' });
    // The server answers and reports in two writes: killed between them, it would leave `there` its five seconds.
    await until(() => there.peek('k') === undefined, 1000);
    expect(await group.replica.command('KEYS', 'tc:e:*')).not.toEqual([]);
    await group.master.kill();
    await until(() => !listening.inspect().isHeard, 2000);
    await group.failedOver();
    await until(async () => {
      expect(await valueOf(there)).toBeUndefined();
      return listening.inspect().isHeard;
    }, 5000);
    expect(await valueOf(there)).toBeUndefined();
    await until(() => here.set('k', 'new', { ttl: '1h' }), 5000);
    await until(async () => (await valueOf(there)) === 'new', 1000);
  });

  it('and lives on: processes leave it at once, and hear each other on the new one', async () => {
    await using group = await RedisSentinel.start();
    const { here, there, listening } = await remembering(group);
    await group.command('FAILOVER', group.name);
    await group.failedOver();
    await until(
      async () => !String(await group.master.command('CLIENT', 'LIST', 'TYPE', 'pubsub')).includes('id='),
      3000,
    );
    await heard(listening);
    // What was there is of another run.
    await until(async () => (await valueOf(there)) === undefined, 2000);
    await until(async () => (await here.set('k', 'new', { ttl: '1h' })) && (await valueOf(there)) === 'new', 5000);
    await until(async () => (await there.get('k')).tier === 'memory', 1000);
    await group.replica.command('FLUSHALL');
    await until(() => there.peek('k') === undefined, 1000);
  });
});

it('nothing is left open at the sentinel when a process ends', async () => {
  await using group = await RedisSentinel.start();
  const engine = await heard(open(group));
  const connections = async (): Promise<number> => String(await group.clients()).match(/^id=/gm)?.length ?? 0;
  expect(await connections()).toBeGreaterThan(1);
  await engine.close();
  await until(async () => (await connections()) === 1, 2000);
});
