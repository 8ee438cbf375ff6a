import assert from 'node:assert/strict';
import type { CacheStore } from '../stores/contract/cache-store.js';
import { frame, freshKey, type Promised } from './conformance.subject.js';

async function found(store: CacheStore, prefix: string): Promise<string[]> {
  const keys = new Set<string>();
  let cursor: string | undefined;
  do {
    const step = await store.scan?.(prefix, cursor);
    for (const key of step?.keys ?? []) keys.add(key);
    cursor = step?.cursor;
  } while (cursor !== undefined);
  return [...keys].toSorted();
}

/** Going through entries by prefix. */
export function promiseScans(it: Promised): void {
  it('finds every entry under a prefix that is there all the while, in whatever number of steps', async (world) => {
    const store = world.session();
    const prefix = freshKey();
    const keys = Array.from({ length: 3000 }, (_, i) => `${prefix}:${String(i).padStart(4, '0')}`);
    await Promise.all(keys.map((key) => store.write(key, frame(), 60_000)));
    await store.write(freshKey(), frame(), 60_000);
    assert.deepEqual(await found(store, `${prefix}:`), keys);
    await store.remove(keys.slice(1));
    assert.deepEqual(await found(store, `${prefix}:`), keys.slice(0, 1));
  });

  it('takes the prefix literally', async (world) => {
    const store = world.session();
    const start = freshKey();
    for (const odd of ['*', '?', '[a]', '^', '-', '\\', '%', '_']) {
      await store.write(`${start}${odd}x`, frame(), 60_000);
      assert.deepEqual(await found(store, `${start}${odd}`), [`${start}${odd}x`], `prefix with ${odd}`);
    }
    assert.deepEqual(await found(store, `${start}?x`), [`${start}?x`]);
  });

  it('finds neither tokens nor leases', async (world) => {
    const store = world.session();
    const name = freshKey();
    await store.tokens([name]);
    await store.acquire(name, { token: 'a', leaseMs: 60_000, fence: '' });
    assert.deepEqual(await found(store, name), []);
  });
}
