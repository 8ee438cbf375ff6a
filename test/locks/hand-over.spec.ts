import { expect, it } from 'vitest';
import type { HandOver, LockStoreListener } from '../../src/locks/contract/lock-store.js';
import { MemoryLockDatabase } from '../../src/stores/memory/memory.lock-database.js';
import { MemoryLockStore } from '../../src/stores/memory/memory.lock-store.js';
import { until } from '../faults/subject.js';
import { gate, openLocks } from './subject.js';

/** A session that counts what it asks, and is told of hand-overs when the test lets it. */
class TestedStore extends MemoryLockStore {
  readonly asked: string[] = [];
  readonly told: Array<() => void> = [];
  isLate = false;
  renewing: Promise<unknown> | undefined;

  override open(listener: LockStoreListener): void {
    const handed = (owner: string, grant?: HandOver): void => {
      const tell = (): void => listener.handed(owner, grant);
      if (this.isLate) this.told.push(tell);
      else tell();
    };
    super.open({ handed, connected: () => listener.connected(), missed: () => listener.missed() });
  }

  override acquire(...args: Parameters<MemoryLockStore['acquire']>): ReturnType<MemoryLockStore['acquire']> {
    this.asked.push('acquire');
    return super.acquire(...args);
  }

  override async renew(...args: Parameters<MemoryLockStore['renew']>): Promise<boolean> {
    this.asked.push('renew');
    await this.renewing;
    return super.renew(...args);
  }
}

function waitingPair() {
  const database = new MemoryLockDatabase();
  const store = new TestedStore({ database });
  const { locks } = openLocks({ store: new MemoryLockStore({ database }) });
  return { store, locks, waiting: openLocks({ store }).locks };
}

it('who is handed a lock begins at once, and confirms it meanwhile', async () => {
  const { store, locks, waiting } = waitingPair();
  const confirmed = gate();
  store.renewing = confirmed.opened;
  const first = await locks.acquire('k');
  const waits = waiting.acquire('k', { wait: '10s', lease: '20s' });
  await until(async () => (await locks.inspect('k'))?.waiting === 1, 1000);
  await first.release();
  const lease = await waits;
  await until(() => store.asked.includes('renew'), 1000);
  expect(store.asked).toEqual(['acquire', 'renew']);
  expect(lease.fencingToken).toBeGreaterThan(first.fencingToken);
  // Until then it has no more than what was handed over.
  expect(lease.remainingMs).toBeLessThan(1000);
  confirmed.open();
  await until(() => lease.remainingMs > 10_000, 1000);
  expect(await locks.inspect('k')).toMatchObject({ owner: lease.owner, fencingToken: lease.fencingToken });
  expect(await lease.release()).toBe('released');
});

it('a message that is read late begins nothing, since its lock may belong to somebody else', async () => {
  const { store, locks, waiting } = waitingPair();
  store.isLate = true;
  const first = await locks.acquire('k');
  let isRunning = false;
  const waits = waiting.run('k', { wait: '20s' }, () => (isRunning = true));
  await until(async () => (await locks.inspect('k'))?.waiting === 1, 1000);
  await first.release();
  // Nobody confirms what was handed over; it goes to who asks next.
  const { owner } = (await locks.inspect('k')) as { owner: string };
  await store.release('{k}', owner);
  const other = await locks.acquire('k');
  // By its own account the waiter asks again, and is refused.
  await until(async () => (await locks.inspect('k'))?.waiting === 1, 3000);
  for (const tell of store.told) tell();
  await until(() => store.asked.length >= 3, 3000);
  expect(isRunning).toBe(false);
  expect(other.isHeld).toBe(true);
  store.isLate = false;
  await other.release();
  expect(await waits).toBe(true);
});
