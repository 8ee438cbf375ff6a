import assert from 'node:assert/strict';
import { granted } from './lock-conformance.owners.js';
import { freshLockKey, lockRequest, type LockPromised } from './lock-conformance.subject.js';

/** `max(server's microseconds, last + 1)`. */
export function promiseFences(it: LockPromised): void {
  it('fences grow with every change of owner, however fast', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const key = freshLockKey();
    let last = 0n;
    for (let i = 0; i < 50; i++) {
      const asked = lockRequest();
      const store = i % 2 ? one : two;
      const fence = granted(await store.acquire(key, asked));
      assert.ok(fence > last, `${fence} after ${last}`);
      last = fence;
      await store.release(key, asked.owner);
    }
    assert.ok(last < 2n ** 53n);
  });

  it('a fence stays with its owner, through renewals too', async (world) => {
    const store = world.session();
    const key = freshLockKey();
    const asked = lockRequest();
    const fence = granted(await store.acquire(key, asked));
    await store.renew(key, asked.owner, 5000);
    assert.equal(granted(await store.acquire(key, asked)), fence);
    assert.equal((await store.inspect(key))?.fence, fence);
  });

  it('fences grow after all data was lost, and their holder is not one any more', async (world) => {
    const store = world.session();
    const key = freshLockKey();
    const asked = lockRequest();
    const fence = granted(await store.acquire(key, asked));
    if (!(await world.flush())) return;
    assert.equal(await store.renew(key, asked.owner, 5000), false);
    assert.ok(granted(await store.acquire(key, lockRequest())) > fence);
  });
}
