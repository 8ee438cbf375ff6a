import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { beladyHits } from '../benchmark/belady.mjs';
import { S3FifoSlab } from '../../src/core/tiers/s3-fifo.slab.js';
import { SlotIndex } from '../../src/core/tiers/slot.index.js';

const FOLDER = new URL('../../../shared/traces/', import.meta.url);
const RECORDED = ['web07', 'orm-busy'];

function recorded(name: string): string[] {
  return gunzipSync(readFileSync(new URL(`${name}.txt.gz`, FOLDER)))
    .toString('latin1')
    .trimEnd()
    .split('\n');
}

/** Zipf 0.9 over 20,000 keys, broken by scans of keys that never come back. */
function zipfWithScans(seed: number): string[] {
  let state = seed;
  const random = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const sums: number[] = [];
  for (let rank = 1; rank <= 20_000; rank++) sums.push((sums.at(-1) ?? 0) + rank ** -0.9);
  const trace: string[] = [];
  for (let scanned = 0; trace.length < 200_000;) {
    if (random() < 0.0005) for (let i = 0; i < 400; i++) trace.push(`scan:${scanned++}`);
    const at = random() * (sums.at(-1) as number);
    let low = 0;
    for (let high = sums.length - 1; low < high;) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) < at) low = middle + 1;
      else high = middle;
    }
    trace.push(`page:${low}`);
  }
  return trace;
}

function s3FifoHits(trace: readonly string[], maxEntries: number): number {
  const slab = new S3FifoSlab<string, null>({ maxEntries, maxBytes: Infinity });
  const index = new SlotIndex();
  let hits = 0;
  for (const key of trace) {
    const slot = index.get(key);
    if (slot === undefined) {
      slab.insert(index, key, key, null, 0, 1, Infinity, Infinity);
    } else {
      slab.touch(slot);
      hits++;
    }
  }
  return hits;
}

function lruHits(trace: readonly string[], maxEntries: number): number {
  const order = new Set<string>();
  let hits = 0;
  for (const key of trace) {
    if (order.delete(key)) hits++;
    order.add(key);
    if (order.size > maxEntries) for (const oldest of order) if (order.delete(oldest)) break;
  }
  return hits;
}

/** Hits as a percentage of the most hits there can be, at room for 1 % of the keys. */
function compare(trace: readonly string[]): { s3Fifo: number; lru: number } {
  const room = Math.round(new Set(trace).size / 100);
  const best = beladyHits(trace, room) / 100;
  return { s3Fifo: s3FifoHits(trace, room) / best, lru: lruHits(trace, room) / best };
}

describe('S3FifoSlab hit ratio', () => {
  it('the yardsticks give what a small trace gives by hand', () => {
    const trace = [...'abcabdabcd'];
    expect(beladyHits(trace, 2)).toBe(4);
    expect(lruHits(trace, 2)).toBe(0);
    expect(lruHits(trace, 3)).toBe(4);
  });

  it('beats LRU on a skewed load with scans', () => {
    const { s3Fifo, lru } = compare(zipfWithScans(1));
    expect(s3Fifo).toBeGreaterThan(lru + 10);
  });

  it('is on average 3 points of the optimum or more above LRU, and below it nowhere', () => {
    const traces = existsSync(FOLDER) ? RECORDED.map(recorded) : [2, 3].map(zipfWithScans);
    const results = traces.map(compare);
    const gains = results.map(({ s3Fifo, lru }) => s3Fifo - lru);
    expect(gains.reduce((sum, gain) => sum + gain, 0) / gains.length).toBeGreaterThanOrEqual(3);
    expect(Math.min(...gains)).toBeGreaterThan(0);
  });
});
