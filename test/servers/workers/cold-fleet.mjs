import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { CacheEngine } from '../../../dist/core/cache-engine.js';
import { redis } from '../../../dist/stores/redis/index.js';
import { serve } from './serve.mjs';
import { now } from '../machine.clock.mjs';

// One process of a fleet that shares the Redis at argv[2] and is released all at once.
const [url] = process.argv.slice(2);
const store = redis({ url });
const asked = [];
for (const operation of ['read', 'acquire', 'tokens', 'fill', 'release']) {
  const send = store[operation].bind(store);
  store[operation] = (...args) => {
    asked.push(operation);
    return send(...args);
  };
}
// On a busy machine a reply is late for want of a processor: that is no outage.
const engine = new CacheEngine({ store, deadlineMs: 10_000 });
engine.open();
const cache = engine.namespace('default');
// Loaders sign the list `runs:<key>`, and end when somebody pushes to the list `end:<pid>`.
const ledger = new Redis(url, { maxRetriesPerRequest: null });
ledger.on('error', () => undefined);

const load = async () => 1;

/** What `count` concurrent callers get, and after how long. */
function answersTo(count, key, load, options) {
  const callers = [];
  for (let i = 0; i < count; i++) callers.push(answer(key, load, options));
  return Promise.all(callers);
}

async function answer(key, load, options) {
  const began = performance.now();
  let got;
  try {
    got = await cache.getOrSet(key, load, options);
  } catch (error) {
    got = error.code;
  }
  return { got, ms: performance.now() - began };
}

serve({
  async warm() {
    while (!engine.inspect().isHeard) await sleep(3);
    // Twice, and once in vain: no call that is measured is the first of its kind.
    for (const key of ['warm', `warm-${process.pid}`]) await cache.getOrSet(key, () => 1, { ttl: '1h' });
    await cache.getOrSet(`warm-${process.pid}`, () => Promise.reject(new Error()), { forceFresh: true }).catch(() => 1);
  },
  async stale(key) {
    await cache.set(key, 'old', { ttl: '1h' });
    await cache.expire(key);
  },
  /**
   * Serves for a while: is refused in so many rounds, for somebody else holds the key, as it will be when it is measured (with options that came the
   * same way: to the compiler others are of another shape), and loads and reads keys of its own.
   */
  async rehearse(key, count, rounds, options) {
    for (let i = 0; i < rounds; i++) {
      asked.length = 0;
      await answersTo(count, key, load, options);
      if (i % 10 > 0) continue;
      const own = `own-${process.pid}-${i}`;
      for (let times = 0; times < 2; times++) await answersTo(count, own, load, options);
    }
  },
  /**
   * `count` concurrent callers from the moment `at`: what each got, and after how long. Tells so at `reportAt`: reports take
   * the processors from those who are still to be answered.
   */
  async call(key, count, { at, reportAt, options, loadMs }) {
    let loads = 0;
    const load = async () => {
      loads++;
      if (loadMs !== undefined) return sleep(loadMs, 'v');
      await ledger.rpush(`runs:${key}`, process.pid);
      await ledger.blpop(`end:${process.pid}`, 0);
      return 'new';
    };
    asked.length = 0;
    // Set before the measured calls: to set a timer takes a tenth of what they do.
    const reporting = reportAt === undefined ? undefined : sleep(Math.max(0, reportAt - now()));
    if (at !== undefined) await sleep(Math.max(0, at - now()));
    const answers = await answersTo(count, key, load, options);
    await reporting;
    return { answers, loads, asked: [...asked] };
  },
});
