import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { CacheUsageError } from '../../src/core/errors/cache.error.js';
import { GhostTable } from '../../src/core/tiers/ghost.table.js';
import { S3FifoSlab } from '../../src/core/tiers/s3-fifo.slab.js';
import { SlotIndex } from '../../src/core/tiers/slot.index.js';

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
    const index = new SlotIndex();
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
    const index = new SlotIndex();
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
    const other = new SlotIndex();
    for (let i = 0; i < 100_000; i++) emptied.remove(put(emptied, other, `again:${i}`, i));
    expect(emptied.payloads.length).toBe(1024);
    expect(() => put(emptied, index, 'a', 1)).toThrow('belongs to one slab');
  });

  it('refuses an entry larger than the small queue, and forgets what the key held', () => {
    const slab = new S3FifoSlab<string, null>({ maxEntries: 10, maxBytes: 1_000 });
    const index = new SlotIndex();
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
    const [hot, scan] = [new SlotIndex(), new SlotIndex()];
    for (let i = 0; i < 50; i++) slab.touch(put(slab, hot, String(i), i));
    for (let i = 0; i < 10_000; i++) put(slab, scan, String(i), i);
    expect(hot.size).toBe(50);
  });

  it('an entry that comes back soon after its eviction outlives the entries around it', () => {
    const slab = new S3FifoSlab<number, null>({ maxEntries: 100, maxBytes: 1e6 });
    const index = new SlotIndex();
    const other = new SlotIndex();
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
    const index = new SlotIndex();
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
    put(slab, index, 'c', 2, 5);
    put(slab, index, 'f', 1, 20);
    // `b` is the oldest and grows by more than is free: another one goes.
    put(slab, index, 'b', 3, 20);
    put(slab, index, 'g', 1, 5);
    put(slab, index, 'b', 4, 25);
    expect([slab.payloads[index.get('b') as number], gone]).toEqual([4, ['a', 'c']]);
  });

  it('a limit in bytes picks the same victims as one in entries when all sizes are equal', () => {
    const runs = [
      { maxEntries: 2_048, maxBytes: Infinity },
      { maxEntries: 2 ** 20, maxBytes: 2_048 * 100 },
    ].map((limits) => {
      const random = generator(11);
      const gone: string[] = [];
      const slab = new S3FifoSlab<number, null>(limits, (_index, key) => gone.push(key));
      const index = new SlotIndex();
      for (let i = 0; i < 100_000; i++) {
        const key = String(Math.floor(20_000 * random() ** 3));
        const slot = index.get(key);
        if (slot === undefined) put(slab, index, key, i, 100);
        else slab.touch(slot);
      }
      return gone;
    });
    expect(runs[0]?.length).toBeGreaterThan(10_000);
    expect(runs[1]).toEqual(runs[0]);
  });
});

describe('S3FifoSlab slotOf', () => {
  it('takes no hint for another key, another index, or what has gone', () => {
    const slab = new S3FifoSlab<number, null>({ maxEntries: 10, maxBytes: 1e6 });
    const [one, two] = [new SlotIndex(), new SlotIndex()];
    const slots = [put(slab, one, 'a', 1, 1), put(slab, one, 'b', 2, 1), put(slab, two, 'a', 3, 1)] as const;
    for (const hint of [0, 1, 2, 5, 5000]) {
      expect(slab.slotOf(one, 'a', hint)).toBe(slots[0]);
      expect(slab.slotOf(one, 'b', hint)).toBe(slots[1]);
      expect(slab.slotOf(two, 'a', hint)).toBe(slots[2]);
      expect(slab.slotOf(two, 'b', hint)).toBeUndefined();
    }
    slab.remove(slots[0]);
    expect(slab.slotOf(one, 'a', slots[0])).toBeUndefined();
    slab.clear();
    expect(slab.slotOf(one, 'b', slots[1])).toBeUndefined();
  });
});

describe('S3FifoSlab answers', () => {
  it('are one promise for all readers, as long as the entry holds what it held', async () => {
    const slab = new S3FifoSlab<number, null>({ maxEntries: 3000, maxBytes: 1e6 });
    const index = new SlotIndex();
    const slot = put(slab, index, 'a', 1, 1);
    const first = slab.answer(slot);
    expect(slab.answer(slot)).toBe(first);
    for (let i = 0; i < 2500; i++) put(slab, index, `k${i}`, i, 1);
    expect(slab.answer(slot)).toBe(first);
    // Some of these share a place.
    for (let round = 0; round < 2; round++)
      for (let i = 0; i < 2500; i++) expect(await slab.answer(index.get(`k${i}`) as number)).toBe(i);
    expect(await slab.answer(slot)).toBe(1);
    put(slab, index, 'a', 2, 1);
    expect([await first, await slab.answer(slot)]).toEqual([1, 2]);
  });

  it('are let go with their entries', async () => {
    const slab = new S3FifoSlab<number, null>({ maxEntries: 1, maxBytes: 1e6 });
    const index = new SlotIndex();
    for (const [round, leave] of [
      () => slab.remove(0),
      () => slab.clear(),
      () => put(slab, index, 'b', -1, 1),
    ].entries()) {
      put(slab, index, 'a', round, 1);
      expect(await slab.answer(0)).toBe(round);
      leave();
      expect(slab['answers']['answers'].filter((answer) => answer !== undefined)).toEqual([]);
    }
    expect(await slab.answer(0)).toBe(-1);
  });
});

describe('GhostTable', () => {
  const known = (ghost: GhostTable, from: number, to: number): number => {
    let count = 0;
    for (let i = from; i < to; i++) if (ghost.take(GhostTable.hash(crc32(`key:${i}`), 1))) count++;
    return count;
  };
  const filled = (keys: number): GhostTable => {
    const ghost = new GhostTable();
    ghost.resize(10_000);
    for (let i = 0; i < keys; i++) ghost.add(GhostTable.hash(crc32(`key:${i}`), 1));
    return ghost;
  };

  it('remembers about as many keys as it has room for, the last ones, once each', () => {
    const ghost = filled(50_000);
    expect(known(ghost, 0, 30_000)).toBeLessThan(10);
    expect(known(ghost, 45_000, 50_000)).toBeGreaterThan(4_900);
    expect(known(ghost, 45_000, 50_000)).toBe(0);
  });

  it('keeps its memory when it grows, and takes no stranger for a known key', () => {
    const ghost = filled(5_000);
    ghost.resize(20_000);
    expect(known(ghost, 100_000, 1_000_000)).toBeLessThan(3);
    expect(known(ghost, 0, 5_000)).toBeGreaterThan(4_990);
  });
});
