import assert from 'node:assert/strict';
import { CLAIM_MS, SILENT_MS } from '../locks/contract/lock-store.js';
import { granted } from './lock-conformance.owners.js';
import { freshLockKey, lockRequest, type LockPromised } from './lock-conformance.subject.js';

const WAIT = { waitMs: 30_000 };

/** First in, first out, by hand-over. */
export function promiseQueue(it: LockPromised): void {
  it('hands a released lock over to the first that waits, and tells it', async (world) => {
    const holding = world.session();
    const { store, heard } = await world.listening();
    const key = freshLockKey();
    const [holder, first, second] = [lockRequest(), lockRequest(WAIT), lockRequest(WAIT)];
    const fence = granted(await holding.acquire(key, holder));
    const refused = await store.acquire(key, first);
    assert.ok(refused.outcome === 'held' && refused.waiting === 1);
    if (refused.fence !== undefined) assert.equal(refused.fence, fence);
    await store.acquire(key, second);
    await holding.release(key, holder.owner);
    await heard.until(first.owner);
    assert.deepEqual(heard.owners, [first.owner]);
    const state = await holding.inspect(key);
    assert.deepEqual([state?.owner, state?.waiting], [first.owner, 1]);
    const next = granted(await store.acquire(key, first));
    assert.ok(next > fence);
    assert.equal(state?.fence, next);
    const [grant] = heard.grants;
    if (grant) assert.deepEqual(grant, { key, fence: next });
  });

  it('keeps the place of one that asks again, and lets nobody past', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const key = freshLockKey();
    const holder = lockRequest({ leaseMs: 300 });
    const [first, second, passer] = [lockRequest(WAIT), lockRequest(WAIT), lockRequest()];
    await one.acquire(key, holder);
    await one.acquire(key, first);
    await two.acquire(key, second);
    const again = await one.acquire(key, first);
    assert.ok(again.outcome === 'held' && again.waiting === 2);
    await world.pass(400);
    // Free by the end of the lease: due to the first, whoever asks.
    assert.equal((await two.acquire(key, passer)).outcome, 'held');
    assert.equal((await two.acquire(key, second)).outcome, 'held');
    assert.equal((await one.acquire(key, first)).outcome, 'granted');
  });

  it('takes no more than maxQueue, but keeps those who are in', async (world) => {
    const store = world.session();
    const key = freshLockKey();
    const [first, second] = [lockRequest({ ...WAIT, maxQueue: 1 }), lockRequest({ ...WAIT, maxQueue: 1 })];
    await store.acquire(key, lockRequest());
    assert.equal((await store.acquire(key, first)).outcome, 'held');
    const full = await store.acquire(key, second);
    assert.ok(full.outcome === 'full' && full.waiting === 1);
    assert.equal((await store.acquire(key, first)).outcome, 'held');
  });

  it('release gives up a place in the queue, and a lock just handed over', async (world) => {
    const store = world.session();
    const key = freshLockKey();
    const [holder, first, second, third] = [lockRequest(), lockRequest(WAIT), lockRequest(WAIT), lockRequest(WAIT)];
    await store.acquire(key, holder);
    for (const waiter of [first, second, third]) await store.acquire(key, waiter);
    assert.equal(await store.release(key, second.owner), 'not-owner');
    await store.release(key, holder.owner);
    assert.equal(await store.release(key, first.owner), 'released');
    assert.equal((await store.inspect(key))?.owner, third.owner);
    assert.equal(await store.release(key, third.owner), 'released');
    assert.equal(await store.inspect(key), undefined);
  });

  it('forceRelease hands over, too', async (world) => {
    const store = world.session();
    const key = freshLockKey();
    const [holder, first] = [lockRequest(), lockRequest(WAIT)];
    await store.acquire(key, holder);
    await store.acquire(key, first);
    assert.equal(await store.forceRelease(key), true);
    assert.equal((await store.inspect(key))?.owner, first.owner);
  });

  it('a lock handed over that nobody confirms is free again soon', async (world) => {
    const store = world.session();
    const key = freshLockKey();
    const [holder, stuck] = [lockRequest(), lockRequest(WAIT)];
    await store.acquire(key, holder);
    await store.acquire(key, stuck);
    await store.release(key, holder.owner);
    assert.equal((await store.acquire(key, lockRequest())).outcome, 'held');
    await world.pass(CLAIM_MS + 50);
    assert.equal((await store.acquire(key, lockRequest())).outcome, 'granted');
  });

  it('passes over a waiter whose session has closed', async (world) => {
    const { store: dying } = await world.listening();
    const { store, heard } = await world.listening();
    const key = freshLockKey();
    const [holder, dead, alive] = [lockRequest(), lockRequest(WAIT), lockRequest(WAIT)];
    await store.acquire(key, holder);
    await dying.acquire(key, dead);
    await store.acquire(key, alive);
    await dying.close();
    await store.release(key, holder.owner);
    await heard.until(alive.owner);
    assert.equal((await store.inspect(key))?.owner, alive.owner);
  });

  it('passes over a waiter that has been silent for long', async (world) => {
    const store = world.session();
    const key = freshLockKey();
    const holder = lockRequest({ leaseMs: 60_000 });
    await store.acquire(key, holder);
    await store.acquire(key, lockRequest(WAIT));
    await world.pass(SILENT_MS + 50);
    await store.release(key, holder.owner);
    assert.equal((await store.acquire(key, lockRequest())).outcome, 'granted');
  });
}
