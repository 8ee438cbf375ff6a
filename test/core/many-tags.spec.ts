import { expect, it } from 'vitest';
import type { CacheService } from '../../src/core/cache.service.js';
import { MemoryDatabase, MemoryStore } from '../../src/stores/memory/memory.store.js';
import { engineOn } from './broken.store.js';

/** Of one entry. */
const TAGS = 32;
/** With two times as many tags as a process remembers, and some. */
const ENTRIES = 3200;
const MEMORY = { maxEntries: 10_000, maxBytes: 1e8, maxStaleWithoutBusMs: 5000 };
const HOUR = { ttl: '1h' } as const;
const keys = Array.from({ length: ENTRIES }, (_, i) => `k${i}`);

function opened(database: MemoryDatabase): CacheService {
  const namespaces = [{ name: 'books', prefixes: ['k'] }];
  return engineOn(new MemoryStore({ database }), { memory: MEMORY, namespaces }).namespace('books');
}

it('a process that has met more tags than it remembers hears of cleared prefixes and namespaces, and forgets neither', async () => {
  const database = new MemoryDatabase({ maxEntries: 1e6, maxBytes: 1e9 });
  const [here, there] = [opened(database), opened(database)];
  const remembered = (): string[] => keys.filter((key) => there.peek(key) === 'old');
  await there.getOrSet('untagged', () => 'old', HOUR);
  for (const key of keys)
    await there.getOrSet(key, () => 'old', { ...HOUR, tags: Array.from({ length: TAGS }, (_, i) => `${key}/${i}`) });
  expect(there.peek('untagged')).toBe('old');
  expect(remembered().length).toBeGreaterThan(1500);
  await here.deleteByPrefix('k');
  expect(remembered()).toEqual([]);
  expect(there.peek('untagged')).toBe('old');
  await here.clear();
  expect(there.peek('untagged')).toBeUndefined();
});
