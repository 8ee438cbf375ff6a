import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../faults/subject.js';
import { RedisServer } from '../servers/redis.server.js';
import { compiledEntry, forkWorker, type WorkerProcess } from '../servers/worker.process.js';
import { redisProcess } from './subject.js';

const SCRIPT = fileURLToPath(new URL('../servers/workers/locks.mjs', import.meta.url));

interface Run {
  readonly came: number;
  readonly from: number;
  readonly to: number;
  readonly fence: bigint;
}

let server: RedisServer;
beforeAll(async () => {
  await compiledEntry();
  server = await RedisServer.start();
});
afterAll(() => server.stop());
beforeEach(() => server.command('FLUSHALL'));

async function start(count: number): Promise<WorkerProcess[]> {
  const workers = await Promise.all(Array.from({ length: count }, () => forkWorker(SCRIPT, { args: [server.url] })));
  await Promise.all(workers.map((worker) => worker.call('warm')));
  return workers;
}

describe('a process that dies', () => {
  it('4.14 #4 by SIGKILL while it holds the lock: the next has it within its lease and a second', async () => {
    const [holder] = (await start(1)) as [WorkerProcess];
    await holder.call('acquire', ['k', { lease: 1500 }]);
    const { locks } = redisProcess(server.url);
    const waits = locks.acquire('k', { wait: '20s' });
    await until(async () => (await locks.inspect('k'))?.waiting === 1, 1000);
    const killed = performance.now();
    await holder.kill();
    expect((await waits).isHeld).toBe(true);
    expect(performance.now() - killed).toBeLessThan(1500 + 1000);
  });

  it('4.14 #5 by SIGKILL while it waits: the next that lives has it at once', async () => {
    const [first, second, third, alive] = (await start(4)) as [
      WorkerProcess,
      WorkerProcess,
      WorkerProcess,
      WorkerProcess,
    ];
    const { locks } = redisProcess(server.url);
    const lease = await locks.acquire('k', { lease: '20s' });
    const dying = [first, second, third];
    const waits: Array<Promise<unknown>> = [];
    for (const [i, worker] of [...dying, alive].entries()) {
      waits.push(worker.call('acquire', ['k', { wait: '20s' }]));
      await until(async () => (await locks.inspect('k'))?.waiting === i + 1, 1000);
    }
    const killed = Promise.allSettled(waits.slice(0, 3));
    await Promise.all(dying.map((worker) => worker.kill()));
    await killed;
    const state = server.command('CLIENT', 'LIST', 'TYPE', 'pubsub');
    expect(
      String(await state)
        .trim()
        .split('\n').length,
    ).toBe(1);
    await lease.release();
    // Handed over in the very step of the release: no polling, no lease of the dead to wait for.
    const owner = (await locks.inspect('k'))?.owner;
    expect((await waits[3]) as { owner: string }).toMatchObject({ owner });
    await alive.kill();
  });
});

it('4.14 #7 an event loop that was blocked for longer than the lease: assertHeld throws, before any timer has run', async () => {
  const [worker] = (await start(1)) as [WorkerProcess];
  await worker.call('acquire', ['k', { lease: 500 }]);
  expect(await worker.call('block', ['k', 1000])).toEqual({
    before: true,
    after: 'lock_lost',
    aborted: true,
    remainingMs: 0,
  });
  await worker.kill();
});

it('4.14 #16 fifty waiters of five processes: no overlap, in order, at most four requests each', async () => {
  const workers = await start(5);
  const { locks } = redisProcess(server.url);
  const lease = await locks.acquire('k', { lease: '30s' });
  const crowds = workers.map((worker) => worker.call<{ runs: Run[]; requests: number }>('crowd', ['k', 10, 5, 10]));
  await until(async () => (await locks.inspect('k'))?.waiting === 50, 10_000);
  await lease.release();
  const answers = await Promise.all(crowds);
  const runs = answers.flatMap((answer) => answer.runs).sort((a, b) => a.from - b.from);
  expect(runs).toHaveLength(50);
  const overlaps = runs.filter((run, i) => i > 0 && run.from < (runs[i - 1] as Run).to);
  expect(overlaps).toEqual([]);
  const fences = runs.map((run) => run.fence);
  expect(fences).toEqual([...fences].sort((a, b) => (a < b ? -1 : 1)));
  let pairs = 0;
  let inOrder = 0;
  runs.forEach((one, i) =>
    runs.slice(i + 1).forEach((other) => {
      // Who came within a few milliseconds of each other may have been overtaken on the way to the server.
      pairs++;
      if (one.came <= other.came + 5) inOrder++;
    }),
  );
  expect(inOrder / pairs).toBeGreaterThanOrEqual(0.95);
  for (const { requests } of answers) expect(requests).toBeLessThanOrEqual(4 * 10);
  await Promise.all(workers.map((worker) => worker.kill()));
});
