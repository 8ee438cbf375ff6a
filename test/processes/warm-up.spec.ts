import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { WarmUpStatus } from '../../src/index.js';
import { RedisServer } from '../servers/redis.server.js';
import { compiledEntry, forkWorker, type WorkerProcess } from '../servers/worker.process.js';
import { now } from '../servers/machine.clock.mjs';

const WORKERS = 4;
const worker = (name: string): string => fileURLToPath(new URL(`../servers/workers/${name}`, import.meta.url));

interface Run {
  readonly pid: number;
  readonly begun: number;
}

let server: RedisServer;
/** They are started once: an application takes a moment, a process a second. */
let processes: WorkerProcess[] = [];
/** Those whose applications run in this test. */
let fleet: WorkerProcess[] = [];
beforeAll(async () => {
  await compiledEntry();
  server = await RedisServer.start();
});
afterEach(async () => {
  await Promise.all(fleet.map((process) => process.call('close')));
  fleet = [];
});
afterAll(async () => {
  await Promise.all(processes.map((process) => process.kill()));
  await server?.stop();
});

/** Boots applications at the same time, each in a process of its own; resolves when all of them have started. */
async function start(count: number, store: string, name: string, runMs: number, options: object): Promise<void> {
  const missing = Math.max(0, count - processes.length);
  const fork = (): Promise<WorkerProcess> => forkWorker(worker('warm-up.mjs'), { args: [server.url] });
  processes.push(...(await Promise.all(Array.from({ length: missing }, fork))));
  fleet = processes.slice(0, count);
  await Promise.all(fleet.map((process) => process.call('boot', [store, name, runMs, options])));
}

/** The process that signed a run; it takes part no longer. */
function taken({ pid }: Run): WorkerProcess {
  const process = fleet.find((one) => one.pid === pid) as WorkerProcess;
  fleet = fleet.filter((one) => one !== process);
  processes = processes.filter((one) => one !== process);
  return process;
}

async function runsOf(name: string): Promise<Run[]> {
  const lines = (await server.command('LRANGE', `runs:${name}`, 0, -1)) as string[];
  return lines.map((line) => JSON.parse(line) as Run);
}

const ended = (name: string): Promise<unknown> => server.command('LLEN', `ended:${name}`);
const statuses = (): Promise<WarmUpStatus[]> =>
  Promise.all(fleet.map((process) => process.call<WarmUpStatus>('status')));
const allDone = (): Promise<void> =>
  expect
    .poll(async () => (await statuses()).map(({ state }) => state), { timeout: 15_000 })
    .toEqual(fleet.map(() => 'done'));
describe(`${WORKERS} applications that boot on one Redis`, () => {
  it('one of them runs, and has not delayed any boot', async () => {
    await start(WORKERS, server.url, 'once', 1000, {});
    // They have started while the run goes on.
    expect(await ended('once')).toBe(0);
    await allDone();
    expect(await runsOf('once')).toHaveLength(1);
    const own = (await statuses()).filter(({ isOwn }) => isOwn);
    expect(own).toMatchObject([{ done: 10, total: 10 }]);
  });

  it('each period has one run', async () => {
    await start(WORKERS, server.url, 'often', 20, { every: '400ms' });
    await expect
      .poll(() => runsOf('often').then(({ length }) => length), { timeout: 15_000 })
      .toBeGreaterThanOrEqual(6);
    const begun = (await runsOf('often')).map((run) => run.begun);
    for (let i = 1; i < begun.length; i++) expect((begun[i] as number) - (begun[i - 1] as number)).toBeGreaterThan(400);
  });

  it.each([
    ['at once', 0],
    ['after its lease was renewed', 1500],
  ])('the one that runs is killed %s: another one takes over within lease + 250 ms', async (when, afterMs) => {
    const leaseMs = 1000;
    const name = `killed ${when}`;
    await start(WORKERS, server.url, name, 4000, { lease: leaseMs });
    await expect.poll(() => runsOf(name), { interval: 5 }).toHaveLength(1);
    const [first] = (await runsOf(name)) as [Run];
    await expect.poll(() => now() - first.begun, { interval: 20, timeout: 5000 }).toBeGreaterThan(afterMs);
    expect(await runsOf(name)).toHaveLength(1);
    await taken(first).kill();
    const killedAt = now();
    await expect.poll(() => runsOf(name), { interval: 5, timeout: 5000 }).toHaveLength(2);
    await allDone();
    const [, second, ...more] = await runsOf(name);
    expect((second as Run).begun - killedAt).toBeLessThanOrEqual(leaseMs + 250);
    expect(more).toEqual([]);
    expect((await statuses()).filter(({ isOwn }) => isOwn)).toMatchObject([{ done: 10, total: 10 }]);
  });

  it('the one that runs is shut down: another one takes over without waiting for the lease', async () => {
    await start(WORKERS, server.url, 'closed', 2000, { lease: '60s' });
    await expect.poll(() => runsOf('closed'), { interval: 5 }).toHaveLength(1);
    const [first] = (await runsOf('closed')) as [Run];
    const closing = taken(first);
    await closing.call('close');
    await closing.kill();
    await allDone();
    expect(await runsOf('closed')).toHaveLength(2);
    expect(await ended('closed')).toBe(1);
  });
});

it('applications that share nothing each run their own', async () => {
  await start(2, 'memory://', 'alone', 50, {});
  await allDone();
  expect(await runsOf('alone')).toHaveLength(2);
  expect((await statuses()).map(({ isOwn }) => isOwn)).toEqual([true, true]);
});

it('no schedule and no run keeps a process alive', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [worker('warm-up.exit.mjs')], { timeout: 20_000 });
  expect(JSON.parse(stdout)).toEqual(['done', 'running']);
});
