import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { StoreUnavailableError } from '../../src/core/errors/cache.error.js';
import { MemoryLockStore } from '../../src/stores/memory/memory.lock-store.js';
import { unhandledRejections, until } from '../faults/subject.js';
import { RedisServer } from '../servers/redis.server.js';
import { aborted, failure, memoryPair, openLocks, redisProcess } from './subject.js';

describe('a lease that was handed over and is detached at once', () => {
  it('lasts its lease, not only the claim of a hand-over', async () => {
    const { one, two } = memoryPair();
    const first = await one.locks.acquire('k', { lease: '10s' });
    const waiting = two.locks.acquire('k', { lease: '10s', wait: '5s' }).then((lease) => lease.detach());
    await until(async () => (await one.locks.inspect('k'))?.waiting === 1, 1000);
    await first.release();
    const token = await waiting;
    await until(async () => ((await one.locks.inspect('k'))?.remainingMs ?? 0) > 5000, 1000);
    expect((await two.locks.restore(token)).isHeld).toBe(true);
  });
});

describe('extend()', () => {
  class Failing extends MemoryLockStore {
    isDown = false;

    override renew(...args: Parameters<MemoryLockStore['renew']>): Promise<boolean> {
      if (this.isDown) return Promise.reject(new StoreUnavailableError('memory', 'renew', 'connection'));
      return super.renew(...args);
    }
  }

  it('that fails leaves maxHold as it was', async () => {
    const store = new Failing();
    const { locks } = openLocks({ store });
    const lease = await locks.acquire('k', { lease: 300, maxHold: 500 });
    store.isDown = true;
    expect(await failure(lease.extend('1h'))).toMatchObject({ code: 'lock_store_unavailable' });
    store.isDown = false;
    await aborted(lease.signal);
    expect(lease.loss?.reason).toBe('maxHold');
  });
});

describe('onLost', () => {
  it('that rejects does not end the process', async () => {
    const { one, two } = memoryPair();
    const unhandled = unhandledRejections();
    const onLost = (): Promise<never> => Promise.reject(new Error('metrics are down'));
    const lease = await one.locks.acquire('k', { lease: 300, onLost: onLost as () => void });
    await two.locks.forceRelease('k');
    await aborted(lease.signal);
    // Node reports it when the microtasks of that turn have run.
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).toEqual([]);
  });
});

describe('restore()', () => {
  it('refuses a lease that has run out while the store was asked', async () => {
    class Slow extends MemoryLockStore {
      override async renew(...args: Parameters<MemoryLockStore['renew']>): Promise<boolean> {
        const isRenewed = await super.renew(...args);
        const asked = performance.now();
        await until(() => performance.now() - asked > 250, 1000);
        return isRenewed;
      }
    }
    const { locks } = openLocks({ store: new Slow() });
    const token = (await locks.acquire('k', { lease: 200 })).detach();
    expect(await failure(locks.restore(token))).toMatchObject({ code: 'lock_lost' });
  });
});

describe('parts of a key within objects and arrays', () => {
  it.each([[{ id: undefined }], [[undefined]], [{ id: null }], [{ of: [{ id: '' }] }]])(
    'are refused where they are missing: %j',
    async (part) => {
      const { one } = memoryPair();
      expect(await failure(one.locks.run(['voucher', part], () => undefined))).toMatchObject({
        code: 'invalid_lock_key',
      });
    },
  );

  it('are the same for 42 and "42"', async () => {
    const { one, two } = memoryPair();
    await one.locks.acquire(['policy', { id: 42, of: [7n] }]);
    expect(await two.locks.tryAcquire(['policy', { id: '42', of: ['7'] }])).toBeUndefined();
  });
});

describe('where nobody is told of a hand-over', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  it('who waits, and lives, is not passed over', async () => {
    await server.command('ACL', 'SETUSER', 'default', '-publish');
    // At its latest, which is chance otherwise.
    vi.spyOn(Math, 'random').mockReturnValue(0.95);
    const [holder, early, late] = [redisProcess(server.url), redisProcess(server.url), redisProcess(server.url)];
    const { store } = early.engine.access;
    const acquire = store.acquire.bind(store);
    let asked = 0;
    store.acquire = async (...args) => {
      const answer = await acquire(...args);
      asked++;
      return answer;
    };
    const lease = await holder.locks.acquire('k', { lease: '30s' });
    const order: string[] = [];
    const first = early.locks.run('k', { wait: '10s' }, () => void order.push('early'));
    await until(() => asked > 0, 1000);
    const second = late.locks.run('k', { wait: '10s' }, () => void order.push('late'));
    await until(async () => (await holder.locks.inspect('k'))?.waiting === 2, 1000);
    // Just after it has asked by itself, so that it will not ask for as long as it can be.
    const before = asked;
    await until(() => asked > before, 2000);
    await lease.release();
    await Promise.all([first, second]);
    expect(order).toEqual(['early', 'late']);
  });
});
