import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { LockStoreUnavailableError } from '../../src/index.js';
import { fencedUpdate } from '../../src/locks/fencing/index.js';
import { until, unhandledRejections } from '../faults/subject.js';
import { FaultProxy } from '../servers/fault.proxy.js';
import { MemcachedServer } from '../servers/memcached.server.js';
import { aborted, failure, memcachedProcess } from './subject.js';

const NOBODY = 'EN';

let server: MemcachedServer;
beforeAll(async () => {
  server = await MemcachedServer.start();
});
afterAll(() => server.stop());
beforeEach(() => server.command('flush_all'));

/** Who has the lock. */
async function owned(): Promise<string | undefined> {
  return (await server.command('mg tc:lk:{k} v')).at(-1);
}

describe('Memcached hangs (SIGSTOP)', () => {
  it('the signal is aborted before the lease ends, nobody gets a lock, nothing is left unhandled', async () => {
    const rejections = unhandledRejections();
    const { locks } = memcachedProcess(server.url);
    const lease = await locks.acquire('k', { lease: 1500 });
    server.pause();
    onTestFinished(() => server.resume());
    expect(await aborted(lease.signal)).toBeLessThan(1500);
    expect(lease.signal.reason).toMatchObject({ code: 'lock_lost', reason: 'expired' });
    const began = performance.now();
    const error = await failure(locks.run('other', () => expect.fail('it ran without a lock')));
    expect(error).toBeInstanceOf(LockStoreUnavailableError);
    expect(performance.now() - began).toBeLessThan(1500);
    expect(await lease.release()).toBe('unknown');
    server.resume();
    expect(lease.isHeld).toBe(false);
    await until(() => locks.tryAcquire('k').catch(() => undefined), 5000);
    expect(rejections).toEqual([]);
  });

  it('a short hang costs nothing: the renewal is repeated', async () => {
    const { locks } = memcachedProcess(server.url);
    const lease = await locks.acquire('k', { lease: 3000 });
    server.pause();
    await sleep(1500);
    server.resume();
    await sleep(2500);
    expect(lease.loss).toBeUndefined();
    expect(await lease.release()).toBe('released');
  });

  it.each([
    ['the client gives up', 0],
    // By now the connection, on which both commands wait to be read, was cut.
    ['the connection is given up', 2500],
  ])('where %s, no orphan is left', async (_what, ms) => {
    const { engine, locks } = memcachedProcess(server.url);
    await locks.inspect('k');
    server.pause();
    onTestFinished(() => server.resume());
    const began = performance.now();
    const error = await failure(locks.acquire('k', { lease: '20s' }));
    // By the deadline, not by the connection, which is given up after 2 s.
    expect(performance.now() - began).toBeLessThan(1500);
    expect(error).toMatchObject({ code: 'lock_store_unavailable', reason: 'timeout' });
    await sleep(ms);
    server.resume();
    await engine.drain();
    expect(await owned()).toBe(NOBODY);
  });
});

describe('the first reply is lost', () => {
  it('is acquired by asking again, and by nobody else', async () => {
    await using proxy = await FaultProxy.start(server.port);
    const { locks } = memcachedProcess(`memcached://127.0.0.1:${proxy.port}`);
    await locks.inspect('k');
    proxy.delay(100);
    const acquiring = locks.acquire('k', { lease: '20s' });
    await until(async () => (await owned()) !== NOBODY, 1000);
    proxy.reset();
    await proxy.heal();
    const lease = await acquiring;
    expect(proxy.accepted).toBeGreaterThanOrEqual(2);
    expect(await owned()).toBe(lease.owner);
    expect(await lease.release()).toBe('released');
    expect(await owned()).toBe(NOBODY);
  });

  it('or is refused, with nothing left', async () => {
    await using proxy = await FaultProxy.start(server.port);
    const { engine, locks } = memcachedProcess(`memcached://127.0.0.1:${proxy.port}`);
    await locks.inspect('k');
    proxy.delay(100);
    const acquiring = failure(locks.acquire('k', { lease: '20s' }));
    await until(async () => (await owned()) !== NOBODY, 1000);
    proxy.cut();
    expect(await acquiring).toMatchObject({ code: 'lock_store_unavailable' });
    expect(await owned()).not.toBe(NOBODY);
    await proxy.heal();
    await until(async () => (await owned()) === NOBODY, 5000);
    await engine.drain();
  });
});

describe('Memcached is killed and comes back empty', () => {
  it('its holder learns of it at the next renewal, and the next is served', async () => {
    const { locks } = memcachedProcess(server.url);
    const lease = await locks.acquire('k', { lease: 3000 });
    await server.restart();
    expect(await aborted(lease.signal)).toBeLessThan(1500);
    expect(lease.signal.reason).toMatchObject({ reason: 'taken' });
    expect(await lease.release()).toBe('gone');
    const next = await locks.acquire('k');
    expect(await owned()).toBe(next.owner);
  });

  it('also where somebody else has the lock by then', async () => {
    const [{ locks }, { locks: others }] = [memcachedProcess(server.url), memcachedProcess(server.url)];
    const lease = await locks.acquire('k', { lease: '20s' });
    await server.restart();
    const next = await others.acquire('k');
    expect(await failure(lease.extend())).toMatchObject({ code: 'lock_lost', reason: 'taken' });
    expect(await lease.release()).toBe('not-owner');
    expect(await owned()).toBe(next.owner);
    expect(await next.release()).toBe('released');
  });

  it('who waits meanwhile is served when it is back', async () => {
    const [{ locks }, { locks: others }] = [memcachedProcess(server.url), memcachedProcess(server.url)];
    await locks.acquire('k', { lease: '20s' });
    const waits = others.acquire('k', { wait: '10s' });
    await sleep(100);
    await server.restart();
    expect((await waits).isHeld).toBe(true);
  });
});

it('twenty of two processes: one at a time, nobody for ever', async () => {
  const processes = [memcachedProcess(server.url), memcachedProcess(server.url)];
  let counter = 0;
  let inside = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      processes[i % 2]?.locks.run('k', { wait: '20s', lease: '5s' }, async () => {
        most = Math.max(most, ++inside);
        const read = counter;
        await sleep(5);
        counter = read + 1;
        inside--;
      }),
    ),
  );
  expect([counter, most]).toEqual([20, 1]);
  expect(await owned()).toBe(NOBODY);
});

it('who waits asks often at first: a lock that was held for a moment is had a moment later', async () => {
  const [{ locks }, { locks: others }] = [memcachedProcess(server.url), memcachedProcess(server.url)];
  await others.inspect('k');
  const lease = await locks.acquire('k', { lease: '20s' });
  const waits = others.acquire('k', { wait: '10s' });
  await sleep(100);
  expect(await lease.release()).toBe('released');
  const freed = performance.now();
  expect((await waits).isHeld).toBe(true);
  expect(performance.now() - freed).toBeLessThan(600);
});

it('who waited in vain has no place in a queue to give up', async () => {
  const [{ locks }, { engine, locks: others }] = [memcachedProcess(server.url), memcachedProcess(server.url)];
  const releases = vi.spyOn(engine.access.store, 'release');
  await using lease = await locks.acquire('k', { lease: '20s' });
  const error = await failure(others.acquire('k', { wait: 500 }));
  expect(error).toMatchObject({ code: 'resource_locked', waiting: 0 });
  expect(releases).not.toHaveBeenCalled();
  expect(await owned()).toBe(lease.owner);
});

it('there is no fence: what needs one refuses the lease', async () => {
  const { locks } = memcachedProcess(server.url);
  await using lease = await locks.acquire('k');
  expect(lease.fencingToken).toBe(0n);
  const query = (): never => expect.fail('the database was asked');
  const updating = fencedUpdate(query, lease, { table: 'policy', set: { spent: 1 }, where: { id: 1 } });
  expect(await failure(updating)).toMatchObject({ code: 'invalid_option' });
});

it('another process goes on with a lease, and an operator ends it', async () => {
  const [{ locks }, { locks: others }] = [memcachedProcess(server.url), memcachedProcess(server.url)];
  const token = (await locks.acquire('k', { lease: 3000 })).detach();
  const lease = await others.restore(token);
  expect(await locks.inspect('k')).toMatchObject({ owner: lease.owner, waiting: 0 });
  expect(await locks.forceRelease('k')).toBe(true);
  expect(await failure(lease.extend())).toMatchObject({ code: 'lock_lost' });
});
