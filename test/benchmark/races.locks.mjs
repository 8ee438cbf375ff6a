import { fork } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { openLocks } from './engine.mjs';
import { lockPeers } from './lock.peers.mjs';
import { fact, heading } from './table.mjs';
import { now } from '../servers/machine.clock.mjs';

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

/** A lock that nobody else wants, taken and given up. */
export function lockContestants(inFlight) {
  const contestants = {
    async 'acquire + release'(port) {
      const { locks } = openLocks(port);
      // Not `run`: on Node 20 the first AsyncLocalStorage of a process costs each promise of it, and the others have none.
      await (await locks.acquire('warm')).release();
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
  for (const [name, open] of Object.entries(lockPeers)) {
    contestants[name] = async (port) => {
      const { acquire, release } = open(port);
      return cycles(inFlight, acquire, release);
    };
  }
  return contestants;
}

const ROUNDS = 1000;
/** Those who poll take a hundred times as long. */
const PEER_ROUNDS = 40;
/** Until both ways have been compiled. */
const WARM_UP = 200;
const MOST_TIMES = 2;
/** Until who waits has been refused once; ours tells. */
const QUEUED_MS = 20;
/** Before a message: who waits has gone to sleep by then, as it mostly has, and the bare listener, too. */
const REST_MS = 2;
const quantile = (times, share) => times.toSorted((a, b) => a - b)[Math.floor(share * times.length)];
const show = (times) => `p50 ${quantile(times, 0.5).toFixed(2)} p95 ${quantile(times, 0.95).toFixed(2)} ms`;

/** From the holder's release to the next holder's start, in another process, against a bare PUBLISH from one process to another. */
export async function handOver(port) {
  heading('Lock hand-over between two processes');
  const child = fork(new URL('./locks.worker.mjs', import.meta.url), [String(port)]);
  const client = new Redis({ port });
  const { locks, close } = openLocks(port);
  /** `waits` resolves when the other process is in the queue. */
  const round = async (name, acquire, release, waits) => {
    const lock = await acquire();
    const had = once(child, 'message');
    child.send(name);
    await waits();
    const released = now();
    void release(lock);
    const [{ at }] = await had;
    return at - released;
  };
  const queued = async () => {
    while ((await locks.inspect('handed')).waiting === 0);
    await sleep(REST_MS);
  };
  try {
    await once(child, 'message');
    const [handOvers, messages] = [[], []];
    for (let i = -WARM_UP; i < ROUNDS; i++) {
      const handed = await round(
        'ours',
        () => locks.acquire('handed'),
        (lease) => lease.release(),
        queued,
      );
      const heard = once(child, 'message');
      await sleep(REST_MS);
      const published = now();
      void client.publish('bare', 'message');
      const [{ at }] = await heard;
      if (i < 0) continue;
      handOvers.push(handed);
      messages.push(at - published);
    }
    const [ours, bare] = [quantile(handOvers, 0.95), quantile(messages, 0.95)];
    fact('bare PUBLISH', show(messages));
    fact('release -> next holder', show(handOvers), `p95 at most ${MOST_TIMES} times`, ours <= MOST_TIMES * bare);
    for (const [name, open] of Object.entries(lockPeers)) {
      const { acquire, release, close } = open(port);
      const times = [];
      for (let i = 0; i < PEER_ROUNDS; i++) {
        times.push(
          await round(
            name,
            () => acquire('handed'),
            release,
            () => sleep(QUEUED_MS),
          ),
        );
      }
      close();
      fact(name, show(times));
    }
  } finally {
    child.kill();
    client.disconnect();
    await close();
  }
}
