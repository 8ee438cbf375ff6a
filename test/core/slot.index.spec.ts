import { describe, expect, it } from 'vitest';
import { S3FifoSlab } from '../../src/core/tiers/s3-fifo.slab.js';
import { hashOf, SlotIndex } from '../../src/core/tiers/slot.index.js';

const slabOf = (maxEntries: number): S3FifoSlab<string, null> => new S3FifoSlab({ maxEntries, maxBytes: Infinity });

function put(slab: S3FifoSlab<string, null>, index: SlotIndex, key: string): number {
  return slab.insert(index, key, key, null, 0, 1, 1, 1);
}

describe('SlotIndex', () => {
  it('finds each of many keys, asked for by texts of their own, and nothing else', () => {
    const slab = slabOf(100_000);
    const [one, other] = [new SlotIndex(), new SlotIndex()];
    for (let i = 0; i < 30_000; i++) for (const index of [one, other]) put(slab, index, `product:${i}:detail`);
    for (let round = 0; round < 2; round++)
      for (let i = 0; i < 30_000; i++) {
        const key = ['product', i, 'detail'].join(':');
        for (const index of [one, other]) expect(slab.payloads[index.get(key) as number]).toBe(key);
        expect(one.get(key)).not.toBe(other.get(key));
        expect(one.get(`${key}s`)).toBeUndefined();
      }
    expect([one.size, other.size]).toEqual([30_000, 30_000]);
    expect(new Set(one.values()).size).toBe(30_000);
  });

  it('takes no slot for the one where a key, or one that looks like it, was found before', () => {
    const slab = slabOf(1);
    const [one, other] = [new SlotIndex(), new SlotIndex()];
    // They differ in no character that is looked at.
    const [a, b] = ['a:product:12:detail', 'b:product:12:detail'] as const;
    const slot = put(slab, one, a);
    for (let i = 0; i < 3; i++) expect([one.get(a), one.get(b), other.get(a)]).toEqual([slot, undefined, undefined]);
    slab.remove(slot);
    expect(one.get(a)).toBeUndefined();
    expect(put(slab, other, a)).toBe(slot);
    expect([one.get(a), other.get(a)]).toEqual([undefined, slot]);
    slab.remove(slot);
    expect(put(slab, one, b)).toBe(slot);
    expect([one.get(a), one.get(b), other.get(a)]).toEqual([undefined, slot, undefined]);
    slab.clear();
    expect([one.get(b), one.size]).toEqual([undefined, 0]);
    put(slab, other, b);
    expect(one.get(b)).toBeUndefined();
  });

  it('is not full of what has gone', () => {
    const slab = slabOf(1000);
    const index = new SlotIndex();
    for (let i = 0; i < 200_000; i++) put(slab, index, `key:${i}`);
    expect(index.size).toBe(1000);
    expect(index['buckets'].length).toBe(1024);
    for (let i = 199_000; i < 200_000; i++) expect(index.has(`key:${i}`)).toBe(true);
  });

  it('what it hands out may be removed meanwhile', () => {
    const slab = slabOf(1000);
    const index = new SlotIndex();
    for (let i = 0; i < 1000; i++) put(slab, index, `key:${i}`);
    for (const slot of index.values()) slab.remove(slot);
    expect([index.size, slab.entries]).toEqual([0, 0]);
  });
});

describe('hashOf', () => {
  it('spreads keys that are alike, whatever they differ in', () => {
    for (const keyOf of [
      (i: number) => `product:${i}`,
      (i: number) => `${i}:${'x'.repeat(200)}`,
      (i: number) => String.fromCharCode(i & 0xff, i >> 8),
      (i: number) => 'a'.repeat(i % 256) + String.fromCharCode(0x4e00 + (i >> 8)),
    ]) {
      const buckets = new Uint32Array(2 ** 14);
      for (let i = 0; i < 2 ** 14; i++) {
        const at = hashOf(keyOf(i)) & (buckets.length - 1);
        buckets[at] = (buckets[at] as number) + 1;
      }
      // As many as chance puts together.
      expect(Math.max(...buckets)).toBeLessThan(13);
      expect(buckets.filter((count) => count === 0).length / buckets.length).toBeLessThan(0.42);
    }
  });
});
