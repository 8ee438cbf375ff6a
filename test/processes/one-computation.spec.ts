import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisServer } from '../servers/redis.server.js';
import type { WorkerProcess } from '../servers/worker.process.js';
import { compiledEntry, forkWorker } from '../servers/worker.process.js';
import { now } from '../servers/machine.clock.mjs';

const WORKERS = 4;
const CALLERS = 250;
const LOAD_MS = 50;
const SCRIPT = fileURLToPath(new URL('../servers/workers/cache.mjs', import.meta.url));

interface Run {
  pid: number;
  begun: number;
}
interface Answer {
  at: number;
  value: { by: number; begun: number; ended: number };
}

let server: RedisServer;
let workers: WorkerProcess[] = [];

beforeAll(async () => {
  await compiledEntry();
  server = await RedisServer.start();
  workers = await Promise.all(Array.from({ length: WORKERS }, start));
});
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.kill()));
  await server?.stop();
});

async function start(): Promise<WorkerProcess> {
  const worker = await forkWorker(SCRIPT, { args: [server.url] });
  await worker.call('warm');
  return worker;
}

/** All workers call at the same moment, a little from now. */
function stampede(key: string, loadMs: number, options: object = {}): Array<Promise<Answer[]>> {
  const at = now() + 50;
  return workers.map((worker) => worker.call<Answer[]>('stampede', [key, CALLERS, { loadMs, at, options }]));
}

/** The loader's runs, oldest first. */
async function runsOf(key: string): Promise<Run[]> {
  const lines = (await server.command('LRANGE', `runs:${key}`, 0, -1)) as string[];
  return lines.map((line) => JSON.parse(line) as Run);
}

/** Resolves when the only lease there is has longer to live than before. */
async function leaseRenewed(): Promise<void> {
  const [lease] = (await server.command('KEYS', 'tc:l:*')) as [string];
  let last = Infinity;
  for (;;) {
    const left = (await server.command('PTTL', lease)) as number;
    if (left > last) return;
    last = left;
  }
}

async function expectAtRest(): Promise<void> {
  for (const worker of workers)
    expect(await worker.call('inspect')).toMatchObject({ flights: 0, waiting: 0, watched: 0 });
  expect(await server.command('KEYS', 'tc:l:*')).toEqual([]);
}

describe(`${WORKERS} processes with ${CALLERS} callers each on one cold key`, () => {
  it('run the loader once, and answer everyone within 100 ms of its end', async () => {
    for (let round = 0; round < 10; round++) {
      const key = `cold-${round}`;
      const answers = (await Promise.all(stampede(key, LOAD_MS))).flat();
      expect(answers.length).toBe(WORKERS * CALLERS);
      expect((await runsOf(key)).length).toBe(1);
      const ended = answers[0]?.value.ended as number;
      expect(new Set(answers.map(({ value }) => value.ended))).toEqual(new Set([ended]));
      expect(Math.max(...answers.map(({ at }) => at)) - ended).toBeLessThanOrEqual(100);
    }
    await expectAtRest();
  });

  it.each([
    ['at once', 300],
    ['after it has renewed its lease', 1500],
  ])(
    'run it twice when the process that loads is killed %s: the second begins within lease + 250 ms',
    async (when, loadMs) => {
      const leaseMs = 1000;
      for (let round = 0; round < 2; round++) {
        const key = `killed ${when} ${round}`;
        const calls = stampede(key, loadMs, { lease: leaseMs });
        const outcomes = Promise.allSettled(calls);
        await expect.poll(() => runsOf(key), { interval: 5, timeout: 2000 }).toHaveLength(1);
        const [first] = (await runsOf(key)) as [Run];
        if (loadMs > leaseMs) await leaseRenewed();
        const winner = workers.findIndex(({ pid }) => pid === first.pid);
        await (workers[winner] as WorkerProcess).kill();
        const killedAt = now();

        const settled = await outcomes;
        expect(settled.map(({ status }) => status).filter((status) => status === 'rejected')).toHaveLength(1);
        const answers = settled.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []));
        expect(answers.length).toBe((WORKERS - 1) * CALLERS);
        const runs = await runsOf(key);
        expect(runs).toHaveLength(2);
        expect((runs[1] as Run).begun - killedAt).toBeLessThanOrEqual(leaseMs + 250);
        const { ended } = (answers[0] as Answer).value;
        expect(Math.max(...answers.map(({ at }) => at)) - ended).toBeLessThanOrEqual(100);

        workers[winner] = await start();
      }
      await expectAtRest();
    },
  );
});
