import { S3FifoSlab, SlotIndex } from './engine.mjs';
import { fact, heading } from './table.mjs';

const ENTRIES = 500_000;
const MOST_BYTES = 100;
const SHARED = { payload: true };

/** What an entry of the memory tier costs beside its key and its value: filled once, and after twice as many evictions as entries. */
export function overheadOfAnEntry() {
  heading(`Memory tier overhead, ${ENTRIES} entries`);
  const keys = Array.from({ length: 3 * ENTRIES }, (_, i) => `key:${i}`);
  // Hashing a key flattens its string: let that be over before measuring.
  new Set(keys).clear();
  const before = usedBytes();
  const index = new SlotIndex();
  const slab = new S3FifoSlab({ maxEntries: ENTRIES, maxBytes: Infinity });
  let at = 0;
  for (const [moment, end] of [
    ['filled once', ENTRIES],
    ['after evictions', keys.length],
  ]) {
    for (; at < end; at++) slab.insert(index, keys[at], SHARED, SHARED, 0, 100, 1e13, 1e13);
    const bytes = (usedBytes() - before) / slab.entries;
    fact(moment, `${bytes.toFixed(1)} B an entry`, `at most ${MOST_BYTES} B`, bytes <= MOST_BYTES);
  }
}

function usedBytes() {
  for (let i = 0; i < 4; i++) globalThis.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
