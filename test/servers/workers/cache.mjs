import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { CacheEngine } from '../../../dist/core/cache-engine.js';
import { redis } from '../../../dist/stores/redis/index.js';
import { serve } from './serve.mjs';

// One process of a fleet that shares the Redis at argv[2].
const [url] = process.argv.slice(2);
const engine = new CacheEngine({ store: redis({ url }) });
engine.open();
const cache = engine.namespace('default');
const ledger = new Redis(url);

/** The machine's clock, which all processes share, in milliseconds with fractions. */
const now = () => performance.timeOrigin + performance.now();

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
  inspect: () => engine.inspect(),
});
