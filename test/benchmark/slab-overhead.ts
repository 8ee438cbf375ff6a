/**
 * What an entry of the memory tier costs beside its key and payload, and what a hit costs. Run it on compiled code:
 *
 *   npx tsc -p tsconfig.json --noEmit false --outDir /tmp/slab && node --expose-gc /tmp/slab/test/benchmark/slab-overhead.js
 */
import { S3FifoSlab } from '../../src/core/tiers/s3-fifo.slab.js';

const ENTRIES = 1_000_000;
const SHARED = { payload: true };

function usedBytes(): number {
  if (!globalThis.gc) throw new Error('run node with --expose-gc');
  for (let i = 0; i < 4; i++) globalThis.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function overhead(): void {
  const keys = Array.from({ length: 3 * ENTRIES }, (_, i) => `key:${i}`);
  // Hashing a key flattens its string: let that be over before measuring.
  new Set(keys).clear();
  const before = usedBytes();
  const index = new Map<string, number>();
  const slab = new S3FifoSlab<object, object>({ maxEntries: ENTRIES, maxBytes: Infinity });
  const insert = (key: string): number => slab.insert(index, key, SHARED, SHARED, 0, 100, 1e13, 1e13);
  const report = (what: string): void => {
    console.log(`${what}: ${((usedBytes() - before) / slab.entries).toFixed(1)} B an entry, ${slab.entries} entries`);
  };
  for (let i = 0; i < ENTRIES; i++) insert(keys[i] as string);
  report('filled once');
  for (let i = ENTRIES; i < keys.length; i++) insert(keys[i] as string);
  report('after twice as many evictions as entries');

  // The part that is the index, for both: a Map that only grew, and one that had as many deletions.
  const start = usedBytes();
  const map = new Map<string, number>();
  for (let i = 0; i < ENTRIES; i++) map.set(keys[i] as string, i);
  console.log(`  of which a Map filled once: ${((usedBytes() - start) / map.size).toFixed(1)} B`);
  for (let i = ENTRIES; i < keys.length; i++) {
    map.delete(keys[i - ENTRIES] as string);
    map.set(keys[i] as string, i);
  }
  console.log(`  of which a Map with deletions: ${((usedBytes() - start) / map.size).toFixed(1)} B`);
  // Both in use until here, or the collector would take them out of the figures above.
  slab.clear();
  keys.length = 0;
}

function hits(entries: number): void {
  const keys = Array.from({ length: entries }, (_, i) => `product:${i}:detail`);
  const map = new Map<string, { value: object; expiresAt: number }>();
  const index = new Map<string, number>();
  const slab = new S3FifoSlab<object, null>({ maxEntries: entries, maxBytes: Infinity });
  for (const key of keys) {
    map.set(key, { value: SHARED, expiresAt: 1e13 });
    slab.insert(index, key, SHARED, null, 0, 1, 1e13, 1e13);
  }
  const now = Date.now();
  const read = {
    map(key: string): object | undefined {
      const entry = map.get(key);
      return entry !== undefined && entry.expiresAt > now ? entry.value : undefined;
    },
    slab(key: string): object | undefined {
      const slot = index.get(key);
      if (slot === undefined || (slab.expiresAt[slot] as number) <= now) return undefined;
      slab.touch(slot);
      return slab.payloads[slot];
    },
  };
  const time = (get: (key: string) => object | undefined): number => {
    const reads = 3_000_000;
    const start = process.hrtime.bigint();
    let found = 0;
    for (let i = 0, at = 0; i < reads; i++, at = (at + 7_919) % entries) if (get(keys[at] as string)) found++;
    if (found !== reads) throw new Error('a hit was missed');
    return Number(process.hrtime.bigint() - start) / reads;
  };
  const rounds = Array.from({ length: 9 }, () => ({
    map: time((key) => read.map(key)),
    slab: time((key) => read.slab(key)),
  }));
  const median = (of: 'map' | 'slab'): string =>
    (rounds.map((round) => round[of]).sort((a, b) => a - b)[4] as number).toFixed(1);
  console.log(`a hit among ${entries}: Map and expiry ${median('map')} ns, slab ${median('slab')} ns`);
}

overhead();
for (const entries of [1_000, 10_000, 1_000_000]) hits(entries);
