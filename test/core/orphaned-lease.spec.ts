import { expect, it, onTestFinished, vi } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import type { LeaseRequest } from '../../src/stores/contract/cache-store.js';
import { MemoryDatabase, MemoryStore } from '../../src/stores/memory/memory.store.js';

/** Grants leases, and says so when nobody waits for the answer any more. */
class LateStore extends MemoryStore {
  override async acquire(key: string, request: LeaseRequest): Promise<never> {
    await super.acquire(key, request);
    return new Promise<never>(() => undefined);
  }
}

it('a lease that was granted too late to be used is given up: nobody waits for it', async () => {
  const database = new MemoryDatabase();
  const [late, other] = [new LateStore({ database }), new MemoryStore({ database })];
  const [here, there] = [late, other].map((store) => {
    const engine = new CacheEngine({ store, deadlineMs: 20 });
    onTestFinished(() => engine.close());
    engine.open();
    return engine.namespace('default');
  });
  const release = vi.spyOn(late, 'release');
  expect(await here?.getOrSet('k', () => 'alone')).toBe('alone');
  expect(release).toHaveBeenCalledTimes(1);
  const acquire = vi.spyOn(other, 'acquire');
  expect(await there?.getOrSet('k', () => 'theirs', { waitBudget: 100 })).toBe('theirs');
  expect(await acquire.mock.results[0]?.value).toMatchObject({ outcome: 'lease' });
});
