import { describe, expect, it } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import { MemoryStore } from '../../src/stores/memory/memory.store.js';
import { until } from '../faults/subject.js';
import { BrokenStore, engineOn } from './broken.store.js';

describe('the memory tier', () => {
  it('stays within its entries and bytes under 1,000,000 distinct keys', async () => {
    const limits = { maxEntries: 5000, maxBytes: 2 ** 20, maxStaleWithoutBusMs: 5000 };
    // Holds more than the tier: what a store evicts, the tier drops.
    const store = new MemoryStore({ maxEntries: 20_000 });
    const engine = new CacheEngine({ store, memory: limits });
    engine.open();
    const cache = engine.namespace('default');
    let most = { entries: 0, bytes: 0 };
    for (let from = 0; from < 1_000_000; from += 100) {
      const batch: Array<Promise<unknown>> = [];
      // First the bytes are the bound that is reached, then the entries.
      for (let i = from; i < from + 100; i++)
        batch.push(cache.getOrSet(`key-${i}`, () => (i < 500_000 ? 'x'.repeat(i % 500) : i)));
      await Promise.all(batch);
      const { entries = 0, bytes = 0 } = engine.inspect().memory ?? {};
      most = { entries: Math.max(most.entries, entries), bytes: Math.max(most.bytes, bytes) };
    }
    expect(most.entries).toBeLessThanOrEqual(limits.maxEntries);
    expect(most.bytes).toBeLessThanOrEqual(limits.maxBytes);
    expect(most.entries).toBeGreaterThan(limits.maxEntries * 0.9);
    expect(most.bytes).toBeGreaterThan(limits.maxBytes * 0.9);
    expect(engine.inspect()).toMatchObject({ flights: 0, waiting: 0, watched: 0 });
    await engine.close();
  }, 120_000);
});

it('the memory tier stays within its bytes in an outage, in which refreshes fail', async () => {
  const store = new BrokenStore();
  const maxBytes = 1_000_000;
  const engine = engineOn(store, { memory: { maxEntries: 10_000, maxBytes, maxStaleWithoutBusMs: 60_000 } });
  const cache = engine.namespace('default');
  store.isDown = true;
  const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
  const options = { ttl: '1h', freshFor: 1, backOff: '1h' } as const;
  for (const key of keys) {
    await cache.getOrSet(key, () => 'x'.repeat(50_000), options);
    await until(() => cache.peek(key) === undefined, 1000);
    await cache.getOrSet(key, () => Promise.reject(new Error('upstream')), options);
  }
  const held = keys.filter((key) => cache.peek(key) !== undefined);
  expect(held.length).toBeGreaterThan(10);
  expect(held.length * 50_000).toBeLessThanOrEqual(maxBytes);
});
