import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CacheUsageError } from '../../src/core/errors/cache.error.js';
import { S3FifoSlab } from '../../src/core/tiers/s3-fifo.slab.js';
import type { SlotIndex } from '../../src/core/tiers/s3-fifo.slab.js';

/** The same numbers in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

const put = <P>(
  slab: S3FifoSlab<P, null>,
  index: SlotIndex,
  key: string,
  payload: P,
  size = 1,
  expiresAt = 1e9,
): number => slab.insert(index, key, payload, null, 0, size, expiresAt, expiresAt);

describe('S3FifoSlab bounds', () => {
  it('never exceeds entries or bytes in a million inserts of random sizes', () => {
    const random = generator(7);
    const limits = { maxEntries: 10_000, maxBytes: 8 * 2 ** 20 };
    let bytes = 0;
    const slab = new S3FifoSlab<number, null>(limits, (_index, _key, size) => (bytes -= size));
    const index: SlotIndex = new Map();
    let violations = 0;
    let fullest = { entries: 0, bytes: 0 };
    for (let i = 0; i < 1_000_000; i++) {
      // Small and large ones by turns, so that now the one limit is reached and now the other.
      const size = Math.floor(random() * (i % 200_000 < 100_000 ? 400 : 4_000));
      bytes += size;
      const slot = put(slab, index, `key:${i}`, size, size);
      if (random() < 0.3) slab.touch(slot);
      fullest = { entries: Math.max(fullest.entries, slab.entries), bytes: Math.max(fullest.bytes, slab.bytes) };
      if (slab.entries !== index.size || slab.bytes !== bytes || slab.payloads.length > limits.maxEntries) violations++;
    }
    expect(violations).toBe(0);
    expect(fullest.entries).toBe(limits.maxEntries);
    expect(fullest.bytes).toBeLessThanOrEqual(limits.maxBytes);
    expect(fullest.bytes).toBeGreaterThan(limits.maxBytes - 4_000);
    expect(slab.evictions).toBe(1_000_000 - slab.entries);
  });

  it('grows from 1024 by doubling, stops at exactly maxEntries, and reuses slots', () => {
    const slab = new S3FifoSlab<number, null>({ maxEntries: 5_000, maxBytes: 1e6 });
    const index: SlotIndex = new Map();
    const lengths = new Set<number>();
    for (let i = 0; i < 100_000; i++) {
      const slot = put(slab, index, String(i), i);
      lengths.add(slab.payloads.length);
      if (i % 3 === 0) slab.remove(slot);
    }
    expect([...lengths]).toEqual([1024, 2048, 4096, 5000]);
    expect([slab.fences.length, slab.expiresAt.length, slab.freshUntil.length, slab.kinds.length]).toEqual(
      Array(4).fill(5000),
    );
    const emptied = new S3FifoSlab<number, null>({ maxEntries: 5_000, maxBytes: 1e6 });
    for (let i = 0; i < 100_000; i++) emptied.remove(put(emptied, index, `again:${i}`, i));
    expect(emptied.payloads.length).toBe(1024);
  });

  it('refuses an entry larger than the small queue, and forgets what the key held', () => {
    const slab = new S3FifoSlab<string, null>({ maxEntries: 10, maxBytes: 1_000 });
    const index: SlotIndex = new Map();
    expect(slab.maxEntryBytes).toBe(250);
    expect(put(slab, index, 'a', 'old', 250)).toBeGreaterThanOrEqual(0);
    expect(put(slab, index, 'a', 'new', 251)).toBe(-1);
    expect(put(slab, index, 'b', 'x', Number.NaN)).toBe(-1);
    expect([index.size, slab.entries, slab.bytes, slab.evictions]).toEqual([0, 0, 0, 0]);
  });

  it('refuses limits that bound nothing', () => {
    for (const limits of [
      { maxEntries: 0, maxBytes: 1 },
      { maxEntries: Number.NaN, maxBytes: 1 },
      { maxEntries: 1, maxBytes: -1 },
    ]) {
      expect(() => new S3FifoSlab(limits)).toThrow(CacheUsageError);
    }
  });
});

describe('S3FifoSlab order', () => {
  it('keeps what is read through a scan of keys that are read once', () => {
    const slab = new S3FifoSlab<number, null>({ maxEntries: 100, maxBytes: 1e6 });
    const [hot, scan]: SlotIndex[] = [new Map(), new Map()] as [SlotIndex, SlotIndex];
    for (let i = 0; i < 50; i++) slab.touch(put(slab, hot, String(i), i));
    for (let i = 0; i < 10_000; i++) put(slab, scan, String(i), i);
    expect(hot.size).toBe(50);
  });

  it('an entry that comes back soon after its eviction outlives the entries around it', () => {
    const slab = new S3FifoSlab<number, null>({ maxEntries: 100, maxBytes: 1e6 });
    const index: SlotIndex = new Map();
    const other: SlotIndex = new Map();
    for (let i = 0; i < 130; i++) put(slab, index, String(i), i);
    expect(index.has('20')).toBe(false);
    put(slab, index, '20', 20);
    // The same key of another namespace is another key.
    put(slab, other, '21', 21);
    for (let i = 1_000; i < 2_000; i++) put(slab, index, String(i), i);
    expect([index.has('20'), other.has('21')]).toEqual([true, false]);
  });

  it('an overwritten entry keeps its place, and is not what makes room for itself', () => {
    const gone: string[] = [];
    const slab = new S3FifoSlab<number, null>({ maxEntries: 8, maxBytes: 100 }, (_index, key) => gone.push(key));
    const index: SlotIndex = new Map();
    for (const key of ['a', 'b', 'c', 'd']) put(slab, index, key, 1, 20);
    const slot = index.get('a') as number;
    expect(put(slab, index, 'a', 2, 25)).toBe(slot);
    expect([slab.bytes, slab.payloads[slot], gone]).toEqual([85, 2, []]);
    put(slab, index, 'e', 1, 25);
    expect(gone).toEqual(['a']);
    expect(put(slab, index, 'b', 2, 25)).toBe(index.get('b'));
    expect(put(slab, index, 'c', 2, 25)).toBe(index.get('c'));
    put(slab, index, 'd', 2, 25);
    expect([slab.bytes, slab.entries, gone]).toEqual([100, 4, ['a']]);
  });
});

describe('S3FifoSlab against a model', () => {
  const KEYS = fc.integer({ min: 0, max: 40 }).map(String);
  const SPACE = fc.integer({ min: 0, max: 2 });
  const OPERATION = fc.oneof(
    { weight: 24, arbitrary: fc.tuple(fc.constant('put' as const), SPACE, KEYS, fc.integer({ min: 0, max: 130 })) },
    { weight: 13, arbitrary: fc.tuple(fc.constant('read' as const), SPACE, KEYS, fc.constant(0)) },
    { weight: 8, arbitrary: fc.tuple(fc.constant('remove' as const), SPACE, KEYS, fc.constant(0)) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('expire' as const), SPACE, KEYS, fc.integer({ min: 1, max: 3_000 })) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('clear' as const), SPACE, KEYS, fc.constant(0)) },
  );
  type Held = { payload: number; size: number; expiresAt: number };

  it('indexes, slots, bytes and evictions agree after every step', () => {
    fc.assert(
      fc.property(
        fc.array(OPERATION, { minLength: 1, maxLength: 300 }),
        fc.integer({ min: 1, max: 30 }),
        (operations, maxEntries) => {
          const limits = { maxEntries, maxBytes: 500 };
          const indexes: SlotIndex[] = [new Map(), new Map(), new Map()];
          const model = indexes.map(() => new Map<string, Held>());
          let evictions = 0;
          const slab = new S3FifoSlab<number, string>(limits, (index, key, payload) => {
            const held = model[indexes.indexOf(index)] as Map<string, Held>;
            expect(held.get(key)?.payload).toBe(payload);
            held.delete(key);
            evictions++;
          });
          for (const [step, [name, space, key, size]] of operations.entries()) {
            const index = indexes[space] as SlotIndex;
            const held = model[space] as Map<string, Held>;
            const slot = index.get(key);
            if (name === 'put') {
              const kept = slab.insert(index, key, step, `f${step}`, step % 4, size, step + 5, step + 10, step);
              expect(kept === -1).toBe(size > 125);
              if (kept === -1) held.delete(key);
              else held.set(key, { payload: step, size, expiresAt: step + 10 });
            } else if (name === 'clear') {
              slab.clear();
              for (const each of model) each.clear();
            } else if (name === 'expire') {
              const all = slab.removeExpired(step, size);
              const due = model.flatMap((each) =>
                [...each].filter(([, { expiresAt }]) => expiresAt <= step).map(([k]) => [each, k] as const),
              );
              // 3,000 slots are more than there are; fewer may miss some.
              if (size >= 1_024) expect(all).toBe(due.length);
              for (const [each, k] of due) if (!indexes[model.indexOf(each)]?.has(k)) each.delete(k);
            } else if (slot !== undefined) {
              if (name === 'read') slab.touch(slot);
              // A second removal of the slot must do nothing.
              else for (let twice = 0; twice < 2; twice++) slab.remove(slot);
              if (name === 'remove') held.delete(key);
            }
            const slots = new Set(indexes.flatMap((each) => [...each.values()]));
            expect(indexes.map((each) => [...each.keys()].sort())).toEqual(
              model.map((each) => [...each.keys()].sort()),
            );
            expect(slots.size).toBe(slab.entries);
            expect(slab.entries).toBeLessThanOrEqual(maxEntries);
            expect(slab.bytes).toBeLessThanOrEqual(limits.maxBytes);
            expect(slab.bytes).toBe(
              model.flatMap((each) => [...each.values()]).reduce((sum, entry) => sum + entry.size, 0),
            );
            expect(slab.evictions).toBe(evictions);
            for (const [at, each] of model.entries()) {
              for (const [k, { payload, expiresAt }] of each) {
                const s = indexes[at]?.get(k) as number;
                expect([slab.payloads[s], slab.fences[s], slab.kinds[s]]).toEqual([
                  payload,
                  `f${payload}`,
                  payload % 4,
                ]);
                expect([slab.createdAt[s], slab.freshUntil[s], slab.expiresAt[s]]).toEqual([
                  payload,
                  payload + 5,
                  expiresAt,
                ]);
              }
            }
            expect(slab.payloads.filter((payload) => payload !== undefined).length).toBe(slab.entries);
          }
        },
      ),
      { numRuns: 150, seed: 42 },
    );
  });
});
