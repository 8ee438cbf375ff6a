import { setTimeout as sleep } from 'node:timers/promises';
import { CacheLockService } from '../../../dist/locks/cache-lock.service.js';
import { LockEngine } from '../../../dist/locks/lock-engine.js';
import { memcachedLocks } from '../../../dist/stores/memcached/index.js';
import { redisLocks } from '../../../dist/stores/redis/index.js';
import { serve } from './serve.mjs';
import { now } from '../machine.clock.mjs';

// One process of a fleet that keeps its locks in the Redis or Memcached at argv[2].
const [url] = process.argv.slice(2);
const store = url.startsWith('memcached') ? memcachedLocks({ url }) : redisLocks({ url });
let requests = 0;
for (const operation of ['acquire', 'release', 'renew']) {
  const method = store[operation].bind(store);
  store[operation] = (...args) => {
    requests++;
    return method(...args);
  };
}
const locks = new CacheLockService(new LockEngine({ store, acceptLossy: true }));
const held = new Map();

serve({
  /** Connects, and begins to hear of hand-overs. */
  async warm() {
    const lease = await locks.acquire(`warm-${process.pid}`);
    await locks.tryAcquire(`warm-${process.pid}`, { wait: 200 });
    await lease.release();
  },
  async acquire(key, options) {
    const lease = await locks.acquire(key, options);
    held.set(key, lease);
    return { fence: lease.fencingToken, owner: lease.owner, at: now() };
  },
  release: (key) => held.get(key).release(),
  /** Holds the event loop up, as a long computation does, and says what the lease tells right afterwards. */
  block(key, ms) {
    const lease = held.get(key);
    const before = lease.isHeld;
    for (const until = performance.now() + ms; performance.now() < until;);
    try {
      lease.assertHeld();
      return { before, after: 'held' };
    } catch (error) {
      return { before, after: error.code, aborted: lease.signal.aborted, remainingMs: lease.remainingMs };
    }
  },
  /** `count` waiters one after the other, each of which holds the lock for `holdMs`: when each came, had the lock and gave it up. */
  async crowd(key, count, holdMs, everyMs) {
    requests = 0;
    const waiters = [];
    for (let i = 0; i < count; i++) {
      const came = now();
      waiters.push(
        locks.run(key, { wait: '30s', lease: '30s' }, async (lease) => {
          const from = now();
          await sleep(holdMs);
          return { came, from, to: now(), fence: lease.fencingToken };
        }),
      );
      await sleep(everyMs);
    }
    return { runs: await Promise.all(waiters), requests };
  },
});
