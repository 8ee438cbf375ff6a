import assert from 'node:assert/strict';
import type { LockRecords } from '../locks/contract/lock-store.js';
import { freshLockKey, lockRequest, type LockPromised } from './lock-conformance.subject.js';

export function promiseRecords(it: LockPromised): void {
  it('a record is written by the holder of its lock, and read by everybody', async (world) => {
    const key = freshLockKey();
    const [one, two] = [world.session(), world.session()];
    const [writer, reader] = [one, two].map(({ records }) => records as LockRecords) as [LockRecords, LockRecords];
    assert.equal(await reader.read(key), undefined);
    await one.acquire(key, lockRequest({ owner: 'a' }));
    assert.equal(await writer.keep(key, 'a', 'déjà "vu"', 60_000), true);
    assert.equal(await reader.read(key), 'déjà "vu"');
    await one.release(key, 'a');
    assert.equal(await reader.read(key), 'déjà "vu"', 'it outlives its lock');
    assert.equal(await reader.read(freshLockKey()), undefined);
  });

  it('nobody else writes it, nor its holder once its lease is over', async (world) => {
    const key = freshLockKey();
    const store = world.session();
    const records = store.records as LockRecords;
    assert.equal(await records.keep(key, 'a', 'x', 60_000), false, 'nobody holds it');
    await store.acquire(key, lockRequest({ owner: 'a', leaseMs: 100 }));
    assert.equal(await records.keep(key, 'b', 'x', 60_000), false, 'somebody else holds it');
    await world.pass(150);
    assert.equal(await records.keep(key, 'a', 'x', 60_000), false, 'its lease is over');
    assert.equal(await records.read(key), undefined);
  });

  it('a record ends with its time', async (world) => {
    const key = freshLockKey();
    const store = world.session();
    const records = store.records as LockRecords;
    await store.acquire(key, lockRequest({ owner: 'a' }));
    await records.keep(key, 'a', 'x', 100);
    await world.pass(150);
    assert.equal(await records.read(key), undefined);
  });
}
