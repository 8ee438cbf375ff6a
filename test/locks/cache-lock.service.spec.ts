import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { allOf, LockLostError, LockStoreUnavailableError, ResourceLockedError } from '../../src/index.js';
import type { CacheLockService } from '../../src/index.js';
import { RedisServer } from '../servers/redis.server.js';
import { until } from '../faults/subject.js';
import { failure, gate, memoryPair, redisProcess } from './subject.js';

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());
beforeEach(() => server.command('FLUSHALL'));

type Processes = { one: CacheLockService; two: CacheLockService };
const stores: Array<[string, () => Processes]> = [
  [
    'memory',
    () => {
      const { one, two } = memoryPair();
      return { one: one.locks, two: two.locks };
    },
  ],
  ['redis', () => ({ one: redisProcess(server.url).locks, two: redisProcess(server.url).locks })],
];

describe.each(stores)('CacheLockService on %s', (_name, processes) => {
  it('runs one at a time, and gives back what the function does', async () => {
    const { one, two } = processes();
    const { opened, open } = gate();
    const running = one.run(['policy', 42], async (lease) => {
      await opened;
      return lease.isHeld;
    });
    await until(() => one.inspect(['policy', 42]), 1000);
    const error = await failure(two.run(['policy', 42], () => expect.fail('two at a time')));
    expect(error).toBeInstanceOf(ResourceLockedError);
    expect(error).toMatchObject({ code: 'resource_locked', keys: ['/policy/42'], waiting: 0 });
    expect((error as ResourceLockedError).retryAfterMs).toBeGreaterThanOrEqual(1);
    expect(error.message).not.toContain('policy');
    expect(await two.tryAcquire(['policy', '42'])).toBeUndefined();
    expect(await two.run(['policy', 43], () => 'another key')).toBe('another key');
    open();
    expect(await running).toBe(true);
    expect(await two.run(['policy', 42], { lease: '1s' }, () => 'next')).toBe('next');
    expect(await two.inspect(['policy', 42])).toBeUndefined();
  });

  it('gives back what the function throws, and frees the lock', async () => {
    const { one, two } = processes();
    const thrown = new Error('no');
    expect(
      await failure(
        one.run('k', () => {
          throw thrown;
        }),
      ),
    ).toBe(thrown);
    expect(await failure(one.run('k', () => Promise.reject(thrown)))).toBe(thrown);
    expect(await two.run('k', () => 1)).toBe(1);
  });

  it('tells by the time that such locks were held before when to try again', async () => {
    const { one, two } = processes();
    for (let i = 0; i < 3; i++) {
      const lease = await two.acquire(['policy', i]);
      await new Promise((resolve) => setTimeout(resolve, 20));
      await lease.release();
    }
    await using _held = await one.acquire(['policy', 42]);
    const error = (await failure(two.acquire(['policy', 42]))) as ResourceLockedError;
    expect(error.retryAfterMs).toBeGreaterThanOrEqual(15);
    expect(error.retryAfterMs).toBeLessThan(500);
    expect(error.retryAfterSeconds).toBe(1);
  });

  it('acquires for a block, tries, inspects and force-releases', async () => {
    const { one, two } = processes();
    {
      await using lease = await one.acquire('k', { lease: '5s' });
      expect(lease.keys).toEqual(['k']);
      expect(lease.signal.aborted).toBe(false);
      expect(lease.remainingMs).toBeGreaterThan(4000);
      expect(lease.remainingMs).toBeLessThanOrEqual(4500);
      expect(await two.tryAcquire('k')).toBeUndefined();
      const state = await two.inspect('k');
      expect(state).toMatchObject({ owner: lease.owner, fencingToken: lease.fencingToken, waiting: 0 });
    }
    const next = await two.tryAcquire('k');
    expect(next?.isHeld).toBe(true);
    expect(await one.forceRelease('k')).toBe(true);
    expect(await one.forceRelease('k')).toBe(false);
    const after = await one.acquire('k');
    expect(after.fencingToken).toBeGreaterThan(next?.fencingToken as bigint);
    expect(await next?.release()).toBe('not-owner');
    expect(await after.release()).toBe('released');
    expect(await after.release()).toBe('released');
    expect(after.isHeld).toBe(false);
    expect(after.remainingMs).toBe(0);
    expect(() => after.assertHeld()).toThrow(LockLostError);
  });

  it('4.14 #3 a late owner removes nothing', async () => {
    const { one, two } = processes();
    const late = await one.acquire('k', { lease: 200, maxHold: 1 });
    await until(async () => (await two.inspect('k')) === undefined, 2000);
    const next = await two.acquire('k');
    expect(await late.release()).toBe('not-owner');
    expect(await two.inspect('k')).toMatchObject({ owner: next.owner });
    expect(next.isHeld).toBe(true);
  });

  it('is renewed while its holder works, up to maxHold', async () => {
    const { one, two } = processes();
    const lease = await one.acquire('k', { lease: 600, maxHold: 1500 });
    const begun = performance.now();
    while (performance.now() - begun < 1300) {
      expect(lease.loss).toBeUndefined();
      expect(await two.tryAcquire('k')).toBeUndefined();
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    await until(() => lease.signal.aborted, 400);
    expect(lease.signal.reason).toMatchObject({ code: 'lock_lost', reason: 'maxHold' });
    await until(() => two.tryAcquire('k'), 1000);
  });

  it('extends at once, also beyond maxHold', async () => {
    const { one } = processes();
    const lease = await one.acquire('k', { lease: 500, maxHold: 600 });
    await lease.extend('5s');
    expect(lease.remainingMs).toBeGreaterThan(4000);
    // The renewals in between do not shorten it.
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(lease.remainingMs).toBeGreaterThan(3000);
    await one.forceRelease('k');
    expect(await failure(lease.extend())).toMatchObject({ code: 'lock_lost', reason: 'taken' });
  });

  it('waits in order of arrival, and no longer than it was told', async () => {
    const { one, two } = processes();
    const first = await one.acquire('k');
    const order: string[] = [];
    const waiting: Array<Promise<unknown>> = [];
    for (const [i, locks] of [two, one, two, one].entries()) {
      const waits = locks.run('k', { wait: '10s' }, () => void order.push(`waiter ${i}`));
      waiting.push(waits);
      await until(async () => (await one.inspect('k'))?.waiting === i + 1, 1000);
    }
    expect(await failure(two.acquire('k', { wait: 60 }))).toMatchObject({ code: 'resource_locked' });
    expect((await one.inspect('k'))?.waiting).toBe(4);
    await first.release();
    await Promise.all(waiting);
    expect(order).toEqual(['waiter 0', 'waiter 1', 'waiter 2', 'waiter 3']);
    expect(await one.inspect('k')).toBeUndefined();
  });

  it('refuses who would be one waiter too many', async () => {
    const { one, two } = processes();
    const first = await one.acquire('k');
    const waits = two.acquire('k', { wait: '10s', maxQueue: 1 });
    await until(async () => (await one.inspect('k'))?.waiting === 1, 1000);
    const error = await failure(two.acquire('k', { wait: '10s', maxQueue: 1 }));
    expect(error).toMatchObject({ code: 'resource_locked', waiting: 1 });
    await first.release();
    expect((await waits).isHeld).toBe(true);
  });

  it('4.14 #19 a wait that is called off ends, leaves the queue, and nothing runs', async () => {
    const { one, two } = processes();
    const first = await one.acquire('k');
    const client = new AbortController();
    const waits = two.run('k', { wait: '10s', signal: client.signal }, () => expect.fail('it ran'));
    await until(async () => (await one.inspect('k'))?.waiting === 1, 1000);
    const gone = new Error('the client has gone');
    client.abort(gone);
    expect(await failure(waits)).toBe(gone);
    expect((await one.inspect('k'))?.waiting).toBe(0);
    await first.release();
    expect(await one.inspect('k')).toBeUndefined();
  });

  it('4.14 #17 several keys: all or none, without doubles, in one order for everybody', async () => {
    const { one, two } = processes();
    const held = await one.acquire(allOf('b', 'a', 'a'));
    expect(held.keys).toEqual(['a', 'b']);
    expect(held.fencingTokenOf('a')).toBeLessThan(held.fencingToken);
    expect(held.fencingTokenOf('b')).toBe(held.fencingToken);
    expect(await two.tryAcquire(allOf('b', 'c'))).toBeUndefined();
    expect(await two.inspect('c')).toBeUndefined();
    expect(await two.tryAcquire(allOf('0', 'b'))).toBeUndefined();
    expect(await two.inspect('0')).toBeUndefined();
    expect(await held.release()).toBe('released');

    let running = 0;
    const work = async (): Promise<void> => {
      if (++running > 1) throw new Error('two at a time');
      await Promise.resolve();
      running--;
    };
    const crosswise = async (locks: CacheLockService, keys: string[]): Promise<void> => {
      for (let i = 0; i < 500; i++) await locks.run(allOf(...keys), { wait: '20s' }, work);
    };
    await Promise.all([crosswise(one, ['b', 'a', 'a']), crosswise(two, ['a', 'b'])]);
    expect(await one.inspect('a')).toBeUndefined();
  });

  it('lets a run go into a run that holds its keys, if it asks to', async () => {
    const { one, two } = processes();
    await one.run(allOf('a', 'b'), async (outer) => {
      expect(one.current()).toBe(outer);
      expect(one.current('b')).toBe(outer);
      expect(two.current()).toBeUndefined();
      await one.run('a', { reentrant: true }, async (inner) => expect(inner).toBe(outer));
      expect(outer.isHeld).toBe(true);
      expect(await failure(one.run('a', () => 1))).toMatchObject({ code: 'resource_locked' });
      expect(await failure(two.run('a', { reentrant: true }, () => 1))).toMatchObject({ code: 'resource_locked' });
      expect(await failure(one.run(allOf('a', 'c'), { reentrant: true }, () => 1))).toMatchObject({
        code: 'partly_held',
      });
    });
    const { opened, open } = gate();
    let detached: Promise<unknown> = Promise.resolve();
    await one.run('a', () => {
      detached = opened.then(() => one.run('a', { reentrant: true }, (lease) => lease));
    });
    await using held = await two.acquire('a');
    open(undefined);
    // Work that outlives the run is not inside it any more.
    expect(await failure(detached)).toMatchObject({ code: 'resource_locked' });
    expect(held.isHeld).toBe(true);
  });

  it('once: keeps the lock after a success to the end of its lease, and frees it after a failure', async () => {
    const { one, two } = processes();
    const options = { mode: 'once', lease: 400 } as const;
    expect(await failure(one.run('job', options, () => Promise.reject(new Error('no'))))).toMatchObject({
      message: 'no',
    });
    const begun = performance.now();
    expect(await two.run('job', options, () => 'done')).toBe('done');
    expect(await failure(one.run('job', options, () => 'again'))).toMatchObject({ code: 'resource_locked' });
    await until(() => one.tryAcquire('job'), 1000);
    expect(performance.now() - begun).toBeGreaterThan(380);
  });

  it('goes on in another process', async () => {
    const { one, two } = processes();
    const lease = await one.acquire(allOf('a', 'b'), { lease: 1000 });
    const token = lease.detach();
    expect(lease.isHeld).toBe(false);
    expect(await lease.release()).toBe('not-owner');
    const restored = await two.restore(token);
    expect(restored).toMatchObject({ owner: lease.owner, fencingToken: lease.fencingToken, keys: ['a', 'b'] });
    expect(await one.tryAcquire('a')).toBeUndefined();
    expect(await restored.release()).toBe('released');
    expect(await failure(two.restore(token))).toMatchObject({ code: 'lock_lost', reason: 'taken' });
    expect(await failure(two.restore('hunter2'))).toMatchObject({ code: 'invalid_lease_token' });
  });

  it('4.14 #13 what the function does stands, also when the lock was lost; onLost tells, or fails', async () => {
    const { one, two } = processes();
    const lose = async (): Promise<string> => {
      await two.forceRelease('k');
      await until(() => one.current('k') === undefined, 1000);
      return 'done';
    };
    const options = { lease: 200 };
    expect(await one.run('k', options, lose)).toBe('done');
    const thrown = new Error('a 404 of the handler');
    const fails = one.run('k', options, async () => {
      await lose();
      throw thrown;
    });
    expect(await failure(fails)).toBe(thrown);
    const told: unknown[] = [];
    const onLost = (loss: LockLostError): never => {
      told.push(loss.reason);
      throw new Error('ends nothing');
    };
    expect(await one.run('k', { ...options, onLost }, lose)).toBe('done');
    expect(told).toEqual(['taken']);
    expect(await failure(one.run('k', { ...options, onLost: 'fail' }, lose))).toMatchObject({ code: 'lock_lost' });
    expect(one.stats().lost.taken).toBe(4);
  });

  it('counts', async () => {
    const { one, two } = processes();
    await one.run('k', async () => {
      expect(one.stats()).toMatchObject({ held: 1, waiting: 0 });
      await two.tryAcquire('k');
    });
    expect(one.stats()).toMatchObject({ acquired: 1, refused: 0, unavailable: 0, held: 0 });
    expect(two.stats()).toMatchObject({ acquired: 0, refused: 1, held: 0 });
  });
});

describe('what cannot be locked', () => {
  it.each([
    ['4.14 #18 a part that is missing', ['voucher', undefined], 'invalid_lock_key', 'key[1]'],
    ['null', ['voucher', null], 'invalid_lock_key', 'key[1]'],
    ['an empty part', ['', 1], 'invalid_lock_key', 'key[0]'],
    ['no part', [], 'invalid_key', 'empty array'],
    ['no text', '', 'invalid_key', 'empty string'],
    ['no key at all', allOf(), 'invalid_lock_key', 'allOf'],
  ])('%s', async (_name, key, code, message) => {
    const error = await failure(memoryPair().one.locks.run(key as never, () => 1));
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
  });

  it.each([
    [{ lease: 50 }, 'invalid_option', 'lease must be at least 100 ms'],
    [{ lease: 'hunter2' }, 'invalid_duration', 'lease'],
    [{ wait: -1 }, 'invalid_duration', 'wait'],
    [{ maxHold: {} }, 'invalid_duration', 'maxHold'],
    [{ maxQueue: 1.5 }, 'invalid_option', 'maxQueue'],
    [{ mode: 'twice' }, 'invalid_option', 'mode'],
    [{ onLost: 'panic' }, 'invalid_option', 'onLost'],
  ])('with %o', async (options, code, message) => {
    const error = await failure(memoryPair().one.locks.run('k', options as never, () => 1));
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
    expect(error.message).not.toContain('hunter2');
  });
});

it('a closed service refuses, also those who wait, and leaves locks of running work alone', async () => {
  const { database, one, two } = memoryPair();
  const lease = await one.locks.acquire('k');
  const waits = failure(two.locks.acquire('k', { wait: '10s' }));
  await until(async () => (await one.locks.inspect('k'))?.waiting === 1, 1000);
  two.engine.endWaiting();
  expect(await waits).toBeInstanceOf(LockStoreUnavailableError);
  expect(await waits).toMatchObject({ code: 'lock_store_unavailable', reason: 'closed' });
  expect(await two.locks.run('free', () => 'may still be taken')).toBe('may still be taken');
  await one.engine.close();
  expect(lease.signal.reason).toMatchObject({ reason: 'shutdown' });
  expect(await failure(one.locks.acquire('other'))).toMatchObject({ code: 'lock_store_unavailable' });
  expect(database.look('{k}')?.owner).toBe(lease.owner);
});
