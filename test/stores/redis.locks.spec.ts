import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { LockAnswer, LockRequest, LockStore } from '../../src/locks/contract/lock-store.js';
import { redisLocks } from '../../src/stores/redis/index.js';
import { RedisServer } from '../servers/redis.server.js';

const LISTENER = { handed() {}, connected() {}, missed() {} };
const AT_ONCE = 32;

let server: RedisServer;
let store: LockStore;

beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());
beforeEach(async () => {
  store = redisLocks({ url: server.url });
  store.open(LISTENER);
  // The connection is there, and the server knows the script.
  await store.acquire('{warm}', asked('warm'));
});
afterEach(async () => {
  await store.close();
  await server.command('FLUSHALL');
});

function asked(owner: string): LockRequest {
  return { owner, leaseMs: 10_000, waitMs: 0, maxQueue: 0 };
}

function fenceOf(answer: LockAnswer): bigint {
  return answer.outcome === 'granted' ? answer.fence : expect.fail(`it was ${answer.outcome}`);
}

async function reads(): Promise<number> {
  return Number(/total_reads_processed:(\d+)/.exec(String(await server.command('INFO', 'stats')))?.[1]);
}

it('a fence is more than the last one where the clock of the server went back', async () => {
  const last = 9_000_000_000_000_000n;
  await server.command('SET', 'tc:lf:{key}', String(last));
  expect(fenceOf(await store.acquire('{key}', asked('a')))).toBe(last + 1n);
  await store.release('{key}', 'a');
  expect(fenceOf(await store.acquire('{key}', asked('b')))).toBe(last + 2n);
});

it('a fence is the time of the server, also in the first tenth of a second', async () => {
  let at: number;
  let keys = 0;
  do {
    at = Date.now();
    const fence = fenceOf(await store.acquire(`{key${keys++}}`, asked('a')));
    expect(Math.abs(Number(fence) / 1000 - at)).toBeLessThan(500);
  } while (at % 1000 >= 80);
});

it('requests of one turn of the event loop travel together', async () => {
  const before = await reads();
  await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => store.acquire(`{key${i}}`, asked('a'))));
  // The first of them, the others, and who asks.
  expect((await reads()) - before).toBeLessThan(AT_ONCE / 4);
});

it('who asks alone is not held up by what its process does then', async () => {
  const asking = store.acquire('{key}', asked('a'));
  const at = Date.now();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  expect(Number(fenceOf(await asking)) / 1000 - at).toBeLessThan(400);
});
