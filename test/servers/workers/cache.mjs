import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { CacheEngine } from '../../../dist/core/cache-engine.js';
import { redis } from '../../../dist/stores/redis/index.js';
import { serve } from './serve.mjs';
import { now } from '../machine.clock.mjs';

// One process of a fleet that shares the Redis at argv[2].
const [url] = process.argv.slice(2);
const engine = new CacheEngine({ store: redis({ url }) });
engine.open();
const cache = engine.namespace('default');
const ledger = new Redis(url);

const loads = new Map();

function deferred() {
  const made = {};
  made.promise = new Promise((resolve) => (made.resolve = resolve));
  return made;
}

serve({
  /** Resolves when the connections stand. */
  async warm() {
    while (!engine.inspect().isHeard) await sleep(3);
    await cache.getOrSet(`warm-${process.pid}`, () => 1);
  },
  /** `count` concurrent callers of one key, from the moment `at`; when each was answered. Loaders sign the list `runs:<key>`. */
  async stampede(key, count, { loadMs, at, options }) {
    const loader = async () => {
      const begun = now();
      await ledger.rpush(`runs:${key}`, JSON.stringify({ pid: process.pid, begun }));
      await sleep(loadMs - (now() - begun));
      return { by: process.pid, begun, ended: now() };
    };
    await sleep(Math.max(0, at - now()));
    return Promise.all(
      Array.from({ length: count }, async () => {
        const value = await cache.getOrSet(key, loader, options);
        return { at: now(), value };
      }),
    );
  },
  /** A call of the cache service; of a response, what it found. */
  async call(method, ...args) {
    const result = await cache[method](...args);
    return method === 'get' ? { isFound: result.isFound, value: result.getValueOrDefault(undefined) } : result;
  },
  /** A load that has begun when this resolves, and ends with `value` when told to. A stale entry is served meanwhile. */
  async beginLoad(key, value, options) {
    const begun = deferred();
    const gate = deferred();
    const loading = cache.getOrSet(
      key,
      async () => {
        begun.resolve();
        await gate.promise;
        return value;
      },
      options,
    );
    loads.set(key, { gate, loading });
    await begun.promise;
  },
  /** Resolves when nothing is under way any more. */
  async finishLoad(key) {
    const { gate, loading } = loads.get(key);
    gate.resolve();
    const answer = await loading;
    await engine.drain();
    return answer;
  },
  /** Reads one number again and again until it is `last`: for each number, when the last read began that returned it. */
  async follow(key, last) {
    const lastRead = [];
    for (;;) {
      const at = now();
      const read = await cache.get(key);
      if (read.isFound) lastRead[read.value] = at;
      if (read.isFound && read.value === last) return lastRead;
      await new Promise((resolve) => setImmediate(resolve));
    }
  },
  inspect: () => engine.inspect(),
});
