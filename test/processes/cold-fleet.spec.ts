import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { quantile, until } from '../faults/subject.js';
import { RedisServer } from '../servers/redis.server.js';
import type { WorkerProcess } from '../servers/worker.process.js';
import { compiledEntry, forkWorker } from '../servers/worker.process.js';
import { now } from '../servers/machine.clock.mjs';

const PROCESSES = 50;
const CALLERS = 20;
const ROUNDS = 5;
/** Nothing else is to have the processors while callers wait whose time is taken. */
const QUIET_MS = 200;
const SCRIPT = fileURLToPath(new URL('../servers/workers/cold-fleet.mjs', import.meta.url));

interface Outcome {
  answers: Array<{ got: string; ms: number }>;
  loads: number;
  asked: string[];
}

let server: RedisServer;
const workers: WorkerProcess[] = [];

beforeAll(async () => {
  await compiledEntry();
  server = await RedisServer.start();
  // A few at a time: fifty interpreters that start at once on two cores time each other out.
  while (workers.length < PROCESSES) {
    const some = Array.from({ length: 5 }, () => forkWorker(SCRIPT, { args: [server.url] }));
    workers.push(...(await Promise.all(some)));
  }
  for (const worker of workers) await worker.call('warm');
  await rehearse();
}, 120_000);
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.kill()));
  await server?.stop();
});

/** All processes call; `spread` milliseconds between one and the next. With `quietMs`, nobody tells or asks anything for so long. */
function release(
  key: string,
  options: object,
  { spread = 0, loadMs, quietMs }: { spread?: number; loadMs?: number; quietMs?: number } = {},
): Array<Promise<Outcome>> {
  const at = now() + 200;
  const reportAt = quietMs === undefined ? undefined : at + quietMs;
  return workers.map((worker, i) =>
    worker.call<Outcome>('call', [key, CALLERS, { at: at + i * spread, reportAt, options, loadMs }]),
  );
}

const runsOf = async (key: string): Promise<string[]> =>
  (await server.command('LRANGE', `runs:${key}`, 0, -1)) as string[];

/** Lets the one loader that runs end, once everybody else was answered. */
async function outcomesOf(
  key: string,
  calls: Array<Promise<Outcome>>,
): Promise<{ winner: Outcome; others: Outcome[] }> {
  await Promise.race(calls);
  await until(async () => (await runsOf(key)).length > 0, 10_000);
  const [pid] = await runsOf(key);
  const at = workers.findIndex((worker) => String(worker.pid) === pid);
  const others = await Promise.all(calls.filter((_, i) => i !== at));
  await server.command('RPUSH', `end:${pid}`, 1);
  const winner = (await calls[at]) as Outcome;
  expect(await runsOf(key)).toEqual([pid]);
  return { winner, others };
}

function tally(outcomes: readonly Outcome[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { answers } of outcomes) for (const { got } of answers) counts[got] = (counts[got] ?? 0) + 1;
  return counts;
}

/** A cold key is not a cold process: all have refused before, as they have in a fleet that serves. */
async function rehearse(): Promise<void> {
  const [first, ...rest] = workers as [WorkerProcess, ...WorkerProcess[]];
  const holding = first.call('call', ['rehearsed', 1, { options: { lease: '60s' } }]);
  await until(async () => (await runsOf('rehearsed')).length > 0, 10_000);
  for (const worker of rest) await worker.call('rehearse', ['rehearsed', CALLERS, 200]);
  await server.command('RPUSH', `end:${first.pid}`, 1);
  await holding;
}

function timesOf(outcomes: readonly Outcome[]): number[] {
  return outcomes.flatMap(({ answers }) => answers.map(({ ms }) => ms));
}

describe(`${PROCESSES} processes with ${CALLERS} callers each`, () => {
  it('on a cold key, onCold wait: one computation, and everybody has its value', async () => {
    const outcomes = await Promise.all(release('wait', { waitBudget: '30s' }, { loadMs: 500 }));
    expect(tally(outcomes)).toEqual({ v: PROCESSES * CALLERS });
    expect(outcomes.reduce((sum, { loads }) => sum + loads, 0)).toBe(1);
  });

  it('on a cold key, onCold throw: one computation, one caller with its value, the others refused after one question each process', async () => {
    const { winner, others } = await outcomesOf('together', release('together', { onCold: 'throw' }));
    expect(tally([winner])).toEqual({ new: 1, cold_cache: CALLERS - 1 });
    expect(tally(others)).toEqual({ cold_cache: (PROCESSES - 1) * CALLERS });
    for (const { asked } of others) expect(asked).toEqual(['acquire']);
  });

  // At one instant it is a question of processors: fifty processes need 35 to 45 ms of them (for twenty bare GETs each 30).
  it.each([
    ['all', 'cold', 'within 50 ms', { spread: 1, share: 1 }],
    ['all', 'stale', 'within 50 ms', { spread: 1, share: 1 }],
    ['half of them', 'cold', 'at one instant', { spread: 0, share: 0.5 }],
  ])('onCold throw: %s are answered within 20 ms who find a key %s %s', async (who, state, when, { spread, share }) => {
    const slowest: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const key = `${state} to ${who} ${when}, ${round}`;
      if (state === 'stale') await workers[0]?.call('stale', [key]);
      const { others } = await outcomesOf(key, release(key, { onCold: 'throw' }, { spread, quietMs: QUIET_MS }));
      expect(tally(others)).toEqual({ [state === 'stale' ? 'old' : 'cold_cache']: (PROCESSES - 1) * CALLERS });
      slowest.push(quantile(timesOf(others), share));
    }
    // Of the usual round: in one of them the machine may have had something else to do.
    expect(quantile(slowest, 0.5)).toBeLessThan(20);
  });

  it('on a stale key: one computation, everybody else the stale value after two questions each process', async () => {
    await workers[0]?.call('stale', ['stale']);
    const { winner, others } = await outcomesOf('stale', release('stale', { onCold: 'throw' }));
    expect(tally([winner])).toEqual({ new: 1, old: CALLERS - 1 });
    expect(tally(others)).toEqual({ old: (PROCESSES - 1) * CALLERS });
    for (const { asked } of others) expect(asked).toEqual(['acquire', 'acquire']);
  });

  it('F10 when the holder is killed: the next has the key within its lease, in one computation', async () => {
    const lease = 1000;
    const calls = release('killed', { lease, waitBudget: '30s' });
    const settled = Promise.allSettled(calls);
    await until(async () => (await runsOf('killed')).length > 0, 10_000);
    const [pid] = await runsOf('killed');
    const at = workers.findIndex((worker) => String(worker.pid) === pid);
    await (workers[at] as WorkerProcess).kill();
    const waited = await until(async () => (await runsOf('killed')).length > 1, 10_000);
    expect(waited).toBeLessThanOrEqual(lease + 500);
    const [, next] = await runsOf('killed');
    await server.command('RPUSH', `end:${next}`, 1);
    const outcomes = (await settled).flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []));
    expect(tally(outcomes)).toEqual({ new: (PROCESSES - 1) * CALLERS });
    expect(await runsOf('killed')).toEqual([pid, next]);
    workers.splice(at, 1);
  });

  it('F14 with the store down: one computation each process, never one each caller', async () => {
    await server.kill();
    const outcomes = await Promise.all(release('down', {}, { loadMs: 300 }));
    expect(outcomes.map(({ loads }) => loads)).toEqual(workers.map(() => 1));
    expect(tally(outcomes)).toEqual({ v: workers.length * CALLERS });
  });
});
