import assert from 'node:assert/strict';
import type { LockAnswer } from '../locks/contract/lock-store.js';
import { freshLockKey, lockRequest, type LockPromised } from './lock-conformance.subject.js';

/** One owner at a time: acquire, renew, release, inspect, forceRelease. */
export function promiseOwners(it: LockPromised): void {
  it('grants a free lock to one of many that ask at once', async (world) => {
    const sessions = [world.session(), world.session(), world.session()];
    const key = freshLockKey();
    const asked = Array.from({ length: 60 }, (_, i) => sessions[i % 3]?.acquire(key, lockRequest()));
    const outcomes = (await Promise.all(asked)).map((answer) => answer?.outcome);
    assert.equal(outcomes.filter((outcome) => outcome === 'granted').length, 1);
    assert.equal(outcomes.filter((outcome) => outcome === 'held').length, 59);
  });

  it('tells others how long it is held', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const key = freshLockKey();
    await one.acquire(key, lockRequest({ leaseMs: 5000 }));
    const answer = await two.acquire(key, lockRequest());
    assert.ok(answer.outcome === 'held' && answer.remainingMs > 0 && answer.remainingMs <= 5000);
    assert.equal(answer.waiting, 0);
  });

  it('grants it again to its owner, with the same fence and a full lease', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const key = freshLockKey();
    const asked = lockRequest({ leaseMs: 400 });
    const first = granted(await one.acquire(key, asked));
    await world.pass(250);
    assert.equal(granted(await two.acquire(key, asked)), first);
    await world.pass(250);
    assert.equal((await two.acquire(key, lockRequest())).outcome, 'held');
  });

  it('frees it when the lease has ended, and its late owner renews and releases nothing', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const key = freshLockKey();
    const [late, next] = [lockRequest({ leaseMs: 150 }), lockRequest()];
    await one.acquire(key, late);
    await world.outlast(250);
    assert.equal(await one.renew(key, late.owner, 10_000), false);
    assert.equal((await two.acquire(key, next)).outcome, 'granted');
    assert.equal(await one.renew(key, late.owner, 10_000), false);
    assert.equal(await one.release(key, late.owner), 'not-owner');
    assert.equal((await two.inspect(key))?.owner, next.owner);
  });

  it('renews for its owner only, shortens too, and never re-creates', async (world) => {
    const store = world.session();
    const key = freshLockKey();
    const holder = lockRequest({ leaseMs: 150 });
    await store.acquire(key, holder);
    assert.equal(await store.renew(key, 'somebody-else', 60_000), false);
    assert.equal(await store.renew(key, holder.owner, 60_000), true);
    await world.outlast(250);
    assert.equal((await store.acquire(key, lockRequest())).outcome, 'held');
    assert.equal(await store.renew(key, holder.owner, 100), true);
    await world.outlast(200);
    assert.equal(await store.renew(key, holder.owner, 60_000), false);
    assert.equal(await store.inspect(key), undefined);
    assert.equal(await store.renew(freshLockKey(), holder.owner, 60_000), false);
  });

  it('releases for its owner only, and says what became of it', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const key = freshLockKey();
    const holder = lockRequest();
    await one.acquire(key, holder);
    assert.equal(await two.release(key, 'somebody-else'), 'not-owner');
    assert.equal(await two.release(key, holder.owner), 'released');
    assert.equal(await one.release(key, holder.owner), 'gone');
    assert.equal((await two.acquire(key, lockRequest())).outcome, 'granted');
  });

  it('inspects, and takes the lock from anybody for an operator', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const key = freshLockKey();
    assert.equal(await two.inspect(key), undefined);
    assert.equal(await two.forceRelease(key), false);
    const holder = lockRequest({ leaseMs: 5000 });
    const fence = granted(await one.acquire(key, holder));
    const state = await two.inspect(key);
    assert.ok(state && state.remainingMs > 0 && state.remainingMs <= 5000);
    assert.deepEqual([state.owner, state.fence, state.waiting], [holder.owner, fence, 0]);
    assert.equal(await two.forceRelease(key), true);
    assert.equal(await one.renew(key, holder.owner, 5000), false);
    assert.equal((await two.acquire(key, lockRequest())).outcome, 'granted');
  });

  it('tells keys apart that differ in one character or in case, up to 200 characters', async (world) => {
    const store = world.session();
    const base = freshLockKey().slice(0, -1);
    const keys = ['a', 'A', '*', '%_[a]?', 'x'.repeat(160), `${'x'.repeat(159)}y`].map((end) => `${base}${end}}`);
    for (const key of keys) assert.equal((await store.acquire(key, lockRequest())).outcome, 'granted');
  });

  it('rejects operations after close, and closes more than once without complaint', async (world) => {
    const store = world.session();
    await store.acquire(freshLockKey(), lockRequest());
    await Promise.all([store.close(), store.close()]);
    await store.close();
    await assert.rejects(store.acquire(freshLockKey(), lockRequest()));
    await assert.rejects(store.release(freshLockKey(), 'nobody'));
  });
}

export function granted(answer: LockAnswer): bigint {
  assert.equal(answer.outcome, 'granted');
  return (answer as { fence: bigint }).fence;
}
