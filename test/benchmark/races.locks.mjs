import { fork } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { openLocks } from './engine.mjs';
import { fact, heading } from './table.mjs';

const LEASE_MS = 10_000;
const CYCLES = 64;

/** `acquire(key)` resolves to what `release` takes. One key after the other, or all at once. */
function cycles(inFlight, acquire, release) {
  const cycle = async (key) => release(await acquire(key));
  return {
    async round() {
      if (inFlight > 1) await Promise.all(Array.from({ length: CYCLES }, (_, i) => cycle(`resource:${i}`)));
      else for (let i = 0; i < CYCLES; i++) await cycle(`resource:${i}`);
      return CYCLES;
    },
  };
}

/**
 * Peers that are installed: name -> port -> { acquire, release }. None is a dependency today: to see one, `npm install --no-save` it and
 * add it here (`redlock`: `acquire([key], ms)` and `lock.release()`; `redis-semaphore`: `new Mutex(client, key)`; `redlock-universal`:
 * `createLock({ adapter, key, ttl })`).
 */
const peers = {};

/** A lock that nobody else wants, taken and given up. */
export function lockContestants(inFlight) {
  const contestants = {
    async 'acquire + release'(port) {
      const locks = openLocks(port);
      await locks.run('warm', () => undefined);
      return cycles(
        inFlight,
        (key) => locks.acquire(key),
        (lease) => lease.release(),
      );
    },
    async 'SET NX PX + compare-and-delete'(port) {
      const client = new Redis({ port });
      client.defineCommand('compareAndDelete', {
        numberOfKeys: 1,
        lua: "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0",
      });
      await client.compareAndDelete('raw:warm', '');
      return cycles(
        inFlight,
        async (key) => {
          const owner = randomBytes(16).toString('base64url');
          if ((await client.set(`raw:${key}`, owner, 'PX', LEASE_MS, 'NX')) !== 'OK') throw new Error('it was held');
          return [`raw:${key}`, owner];
        },
        ([key, owner]) => client.compareAndDelete(key, owner),
      );
    },
  };
  for (const [name, open] of Object.entries(peers)) {
    contestants[name] = async (port) => {
      const { acquire, release } = await open(port);
      return cycles(inFlight, acquire, release);
    };
  }
  return contestants;
}

const ROUNDS = 300;
const MOST_TIMES = 2;
const now = () => performance.timeOrigin + performance.now();
const quantile = (times, share) => times.toSorted((a, b) => a - b)[Math.floor(share * times.length)];

/** From the holder's release to the next holder's start, in another process, against a bare PUBLISH from one process to another. */
export async function handOver(port) {
  heading('Lock hand-over between two processes');
  const child = fork(new URL('./locks.worker.mjs', import.meta.url), [String(port)]);
  const client = new Redis({ port });
  const locks = openLocks(port);
  try {
    await once(child, 'message');
    const [handOvers, messages] = [[], []];
    for (let round = -20; round < ROUNDS; round++) {
      const lease = await locks.acquire('handed');
      const had = once(child, 'message');
      child.send('wait');
      while ((await locks.inspect('handed')).waiting === 0);
      const released = now();
      void lease.release();
      const [{ at }] = await had;
      const heard = once(child, 'message');
      const published = now();
      void client.publish('bare', 'message');
      const [{ at: heardAt }] = await heard;
      // The first rounds warm up.
      if (round < 0) continue;
      handOvers.push(at - released);
      messages.push(heardAt - published);
    }
    const [ours, bare] = [quantile(handOvers, 0.95), quantile(messages, 0.95)];
    const show = (times) => `p50 ${quantile(times, 0.5).toFixed(2)} p95 ${quantile(times, 0.95).toFixed(2)} ms`;
    fact('bare PUBLISH', show(messages));
    fact('release -> next holder', show(handOvers), `p95 at most ${MOST_TIMES} times`, ours <= MOST_TIMES * bare);
  } finally {
    child.kill();
    client.disconnect();
  }
}
