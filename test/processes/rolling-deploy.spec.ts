import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../faults/subject.js';
import { RedisServer } from '../servers/redis.server.js';
import type { WorkerProcess } from '../servers/worker.process.js';
import { compiledEntry, forkWorker } from '../servers/worker.process.js';

const SCRIPT = fileURLToPath(new URL('../servers/workers/cache.mjs', import.meta.url));
const GRACE_MS = 4000;
const KEYS = Array.from({ length: 20 }, (_, i) => `key:${i}`);

let server: RedisServer;
const workers: WorkerProcess[] = [];
beforeAll(async () => {
  await compiledEntry();
  server = await RedisServer.start();
});
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.kill()));
  await server.stop();
});

async function start(): Promise<WorkerProcess> {
  const worker = await forkWorker(SCRIPT, { args: [server.url] });
  workers.push(worker);
  await worker.call('warm');
  return worker;
}

async function read(worker: WorkerProcess, key: string): Promise<unknown> {
  return (await worker.call<{ value?: unknown }>('call', ['get', key])).value;
}

/** As each process of the new release does when it starts. */
async function release(worker: WorkerProcess): Promise<void> {
  await worker.call('call', ['setApplicationStamp', 'release 2', { grace: GRACE_MS }]);
}

it(
  'a rolling deploy: the old entries are served while they are replaced, and none of them afterwards',
  { timeout: 60_000 },
  async () => {
    const old = [await start(), await start()] as const;
    const [loading] = old;
    await loading.call('call', ['setMany', KEYS.map((key) => [key, 'old']), { ttl: '1h' }]);
    await loading.call('beginLoad', ['slow', 'old', { ttl: '1h' }]);

    const [next, second] = [await start(), await start()];
    await release(next);
    const ended = performance.now() + GRACE_MS + 50; // the store's time is known to half a round trip
    for (const worker of [...old, next]) expect(await read(worker, 'key:0')).toBe('old');
    // What is loaded by now is new, whoever loads it.
    for (const key of KEYS.slice(0, 10)) {
      await next.call('beginLoad', [key, 'new', { ttl: '1h' }]);
      await next.call('finishLoad', [key]);
    }
    await release(second);
    for (const worker of [...old, next, second]) {
      for (const key of KEYS.slice(0, 10)) await until(async () => (await read(worker, key)) === 'new', 1000);
    }
    expect(await read(second, 'key:19')).toBe('old');
    // Begun under the old stamp, and ended after the change.
    expect(await loading.call('finishLoad', ['slow'])).toBe('old');
    await second.call('beginLoad', ['slow', 'new', { ttl: '1h' }]);
    await second.call('finishLoad', ['slow']);

    await until(() => performance.now() > ended, 2 * GRACE_MS);
    for (const worker of [...old, next, second, await start()]) {
      expect(await read(worker, 'slow')).toBe('new');
      for (const key of KEYS) expect(await read(worker, key)).toBe(KEYS.indexOf(key) < 10 ? 'new' : undefined);
    }
  },
);
