import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { beladyHits } from './belady.mjs';
import { S3FifoSlab, SlotIndex } from './engine.mjs';
import { fact, heading } from './table.mjs';

const FOLDER = new URL('../../../shared/traces/', import.meta.url);
const TRACES = ['web07', 'orm-busy'];
const POINTS_OVER_LRU = 3;

/** Hits at room for 1 % of the keys, as a percentage of the most there can be. The recorded traces are not part of the project. */
export function hitRatios() {
  heading('Memory tier hit ratio at 1 % of the keys, in percent of the optimum (Belady)');
  if (!existsSync(FOLDER)) return fact('no traces in ../shared/traces', 'skipped');
  const gains = TRACES.map((name) => {
    const trace = gunzipSync(readFileSync(new URL(`${name}.txt.gz`, FOLDER)))
      .toString('latin1')
      .trimEnd()
      .split('\n');
    const room = Math.round(new Set(trace).size / 100);
    const best = beladyHits(trace, room) / 100;
    const [ours, lru] = [s3FifoHits(trace, room) / best, lruHits(trace, room) / best];
    fact(name, `ours ${ours.toFixed(1)}, LRU ${lru.toFixed(1)}: ${(ours - lru).toFixed(1)} points`);
    return ours - lru;
  });
  const mean = gains.reduce((sum, gain) => sum + gain, 0) / gains.length;
  fact('mean', `${mean.toFixed(1)} points over LRU`, `at least ${POINTS_OVER_LRU}`, mean >= POINTS_OVER_LRU);
}

function s3FifoHits(trace, maxEntries) {
  const slab = new S3FifoSlab({ maxEntries, maxBytes: Infinity });
  const index = new SlotIndex();
  let hits = 0;
  for (const key of trace) {
    const slot = index.get(key);
    if (slot === undefined) slab.insert(index, key, key, null, 0, 1, Infinity, Infinity);
    else {
      slab.touch(slot);
      hits++;
    }
  }
  return hits;
}

function lruHits(trace, maxEntries) {
  const order = new Set();
  let hits = 0;
  for (const key of trace) {
    if (order.delete(key)) hits++;
    order.add(key);
    if (order.size > maxEntries) order.delete(order.values().next().value);
  }
  return hits;
}
