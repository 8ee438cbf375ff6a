import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MemcachedServer } from '../servers/memcached.server.js';
import { compiledEntry, forkWorker, type WorkerProcess } from '../servers/worker.process.js';
import { memcachedProcess } from './subject.js';

const SCRIPT = fileURLToPath(new URL('../servers/workers/locks.mjs', import.meta.url));

interface Run {
  readonly from: number;
  readonly to: number;
}

let server: MemcachedServer;
beforeAll(async () => {
  await compiledEntry();
  server = await MemcachedServer.start();
});
afterAll(() => server.stop());

function start(count: number): Promise<WorkerProcess[]> {
  return Promise.all(Array.from({ length: count }, () => forkWorker(SCRIPT, { args: [server.url] })));
}

it('twenty contenders of four processes: no overlap, and everybody has his turn', async () => {
  const workers = await start(4);
  const crowds = workers.map((worker) => worker.call<{ runs: Run[] }>('crowd', ['k', 5, 5, 1]));
  const runs = (await Promise.all(crowds)).flatMap((answer) => answer.runs).sort((a, b) => a.from - b.from);
  expect(runs).toHaveLength(20);
  expect(runs.filter((run, i) => i > 0 && run.from < (runs[i - 1] as Run).to)).toEqual([]);
  await Promise.all(workers.map((worker) => worker.kill()));
});

it('a process that is killed while it holds the lock: it is free after its lease, and 3 s after that at the latest', async () => {
  const [holder] = (await start(1)) as [WorkerProcess];
  const { locks } = memcachedProcess(server.url);
  await locks.inspect('k');
  await holder.call('acquire', ['k', { lease: 1500 }]);
  const killed = performance.now();
  await holder.kill();
  const next = await locks.acquire('k', { wait: '20s' });
  const took = performance.now() - killed;
  expect(next.isHeld).toBe(true);
  expect(took).toBeGreaterThan(1000);
  // A poll comes up to a second after the end.
  expect(took).toBeLessThan(1500 + 3000 + 1000);
});
