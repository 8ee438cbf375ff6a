import { describe, expect, it } from 'vitest';
import type { Lease } from '../../src/locks/lease.js';
import { redisLocks, type RedisLockStoreOptions } from '../../src/stores/redis/index.js';
import { until } from '../faults/subject.js';
import { RedisSentinel } from '../servers/redis.sentinel.js';
import { aborted, failure, openLocks } from './subject.js';

const open = ({ connection }: RedisSentinel, store: RedisLockStoreOptions = {}) =>
  openLocks({ store: redisLocks({ connection, ...store }) }).locks;

/** Resolves when the lease could be renewed. */
const extended = (lease: Lease): Promise<unknown> =>
  until(
    () =>
      lease.extend().then(
        () => true,
        () => false,
      ),
    5000,
  );

describe('the master of the locks is replaced by a sentinel while a lease is held', () => {
  it('that a replica had confirmed: it is held on, by nobody else, and can be released', async () => {
    await using group = await RedisSentinel.start();
    const [one, two] = [open(group, { confirmReplicas: 1, confirmTimeout: 200 }), open(group)];
    const first = await one.acquire('k');
    expect(await first.release()).toBe('released');
    const lease = await one.acquire('k', { lease: '12s' });
    expect(await two.tryAcquire('k')).toBeUndefined();
    await group.master.kill();
    expect((await failure(two.acquire('other'))).code).toBe('lock_store_unavailable');
    await group.failedOver();
    await until(() => two.inspect('k').then(Boolean, () => false), 5000);
    expect(await two.tryAcquire('k')).toBeUndefined();
    await extended(lease);
    expect(lease.isHeld).toBe(true);
    // The only replica is the master now.
    expect((await failure(one.acquire('other'))).message).toContain('0 of 1 replicas');
    expect(await lease.release()).toBe('released');
    expect((await two.acquire('k')).fencingToken).toBeGreaterThan(lease.fencingToken);
  });

  it('that no replica had: it is lost, its holder is told, and the next fence is greater', async () => {
    await using group = await RedisSentinel.start();
    const [one, two] = [open(group), open(group)];
    await (await two.acquire('warm')).release();
    await group.lag();
    const lease = await one.acquire('k', { lease: '9s' });
    await group.master.kill();
    await group.failedOver();
    await until(
      () =>
        two.inspect('k').then(
          () => true,
          () => false,
        ),
      5000,
    );
    const next = await two.acquire('k');
    expect(next.fencingToken).toBeGreaterThan(lease.fencingToken);
    expect(await aborted(lease.signal)).toBeLessThan(9000);
    expect(lease.signal.reason).toMatchObject({ code: 'lock_lost', reason: 'taken' });
    expect(next.isHeld).toBe(true);
    expect(await lease.release()).toBe('not-owner');
  });

  it('that waits for a former master which lives on as a replica: nobody talks to that one any more', async () => {
    await using group = await RedisSentinel.start();
    const [one, two] = [open(group), open(group)];
    const lease = await one.acquire('k', { lease: '12s' });
    const waits = two.acquire('k', { wait: '20s' });
    await until(async () => (await one.inspect('k'))?.waiting === 1, 1000);
    await group.command('FAILOVER', group.name);
    await group.failedOver();
    await extended(lease);
    expect(await lease.release()).toBe('released');
    const next = await waits;
    expect(next.fencingToken).toBeGreaterThan(lease.fencingToken);
    expect(String(await group.replica.command('GET', 'tc:lk:{k}'))).toBe(`${next.owner}|${next.fencingToken}`);
  });
});
