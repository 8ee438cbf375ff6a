import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { fenceColumn } from '../../src/locks/fencing/index.js';
import { until } from '../faults/subject.js';
import { PostgresServer } from '../servers/postgres.server.js';
import { RedisServer } from '../servers/redis.server.js';
import { compiledEntry, forkWorker, type WorkerProcess } from '../servers/worker.process.js';

const SCRIPT = fileURLToPath(new URL('../servers/workers/counter.mjs', import.meta.url));
const PROCESSES = 3;
/** Longer than the lease of a worker and the second after which those who wait look again, so that somebody else is at the counter meanwhile. */
const STOPPED_MS = 1500;
const MOST_ROUNDS = 4;

let redis: RedisServer;
let postgres: PostgresServer;
let database: pg.Pool;
beforeAll(async () => {
  await compiledEntry();
  [redis, postgres] = await Promise.all([RedisServer.start(), PostgresServer.start()]);
  database = new pg.Pool({ connectionString: postgres.url });
});
afterAll(async () => {
  await database.end();
  await Promise.all([redis.stop(), postgres.stop()]);
});
beforeEach(async () => {
  await database.query('DROP TABLE IF EXISTS counter, entry');
  await database.query('CREATE TABLE counter (id int PRIMARY KEY, value int NOT NULL)');
  await database.query(fenceColumn('counter'));
  await database.query('INSERT INTO counter VALUES (1, 0)');
  await database.query('CREATE TABLE entry (id int GENERATED ALWAYS AS IDENTITY, fence bigint NOT NULL)');
});

/** What was counted, and how much of it the counter does not know any more. */
async function tally(): Promise<{ counted: number; lost: number; fences: bigint[] }> {
  const { rows } = await database.query<{ value: number; fences: string[] | null }>(
    'SELECT value, (SELECT array_agg(fence ORDER BY id) FROM entry) AS fences FROM counter',
  );
  const [{ value, fences }] = rows as [{ value: number; fences: string[] | null }];
  const counted = fences?.length ?? 0;
  return { counted, lost: counted - value, fences: (fences ?? []).map(BigInt) };
}

/** Processes that count, and what befalls them. */
class Schedule {
  readonly seen = { stopped: 0, killed: 0, storeRestarts: 0 };
  private workers: WorkerProcess[] = [];

  constructor(private readonly fencing: 'fence' | 'none') {
    onTestFinished(async () => void (await Promise.all(this.workers.map((worker) => worker.kill()))));
  }

  async begin(): Promise<void> {
    this.workers = await Promise.all(Array.from({ length: PROCESSES }, () => this.start()));
  }

  /** Each kind as often as in life, in an order of chance. */
  async troubles(): Promise<void> {
    const deck = ['stop', 'stop', 'stop holder', 'kill', 'restart'] as const;
    for (const kind of deck.map((card) => [Math.random(), card] as const).toSorted(([a], [b]) => a - b))
      await this.trouble(kind[1]);
  }

  /** It befalls one at random, and then there is a time in which much is counted. */
  private async trouble(kind: string): Promise<void> {
    const i = Math.floor(Math.random() * PROCESSES);
    const victim = this.workers[i] as WorkerProcess;
    if (kind.startsWith('stop')) {
      if (kind === 'stop holder') await victim.call('holding');
      this.seen.stopped++;
      await victim.kill('SIGSTOP');
      await sleep(STOPPED_MS);
      await victim.kill('SIGCONT');
    } else if (kind === 'kill') {
      this.seen.killed++;
      await victim.kill();
      this.workers[i] = await this.start();
    } else {
      // It forgets who holds the lock, and who was the last to.
      this.seen.storeRestarts++;
      await redis.restart();
    }
    const { counted } = await tally();
    await until(async () => (await tally()).counted >= counted + 5, 20_000);
  }

  /** Why they were refused so far, and how often. */
  async refusals(when: 'refusals' | 'end' = 'refusals'): Promise<Record<string, number>> {
    const refusals: Record<string, number> = {};
    for (const each of await Promise.all(this.workers.map((worker) => worker.call<Record<string, number>>(when))))
      for (const [code, times] of Object.entries(each)) refusals[code] = (refusals[code] ?? 0) + times;
    return refusals;
  }

  /** All finish what they are at. */
  async end(): Promise<Record<string, number>> {
    return this.refusals('end');
  }

  private async start(): Promise<WorkerProcess> {
    const worker = await forkWorker(SCRIPT, { args: [redis.url, postgres.url, this.fencing] });
    await worker.call('begin');
    return worker;
  }
}

describe(
  '4.14 #22 processes that count in PostgreSQL, stopped, killed, and their lock forgotten at random',
  { timeout: 180_000 },
  () => {
    it('lose updates, if nothing but the lock guards them', async () => {
      const schedule = new Schedule('none');
      await schedule.begin();
      for (let i = 0; i < MOST_ROUNDS && (await tally()).lost === 0; i++) await schedule.troubles();
      await schedule.end();
      expect((await tally()).lost, JSON.stringify(schedule.seen)).toBeGreaterThan(0);
    });

    it('lose none with the fence, which the late writers are refused by', async () => {
      const schedule = new Schedule('fence');
      await schedule.begin();
      const isRefused = async (): Promise<boolean> => 'stale_lease' in (await schedule.refusals());
      for (let i = 0; i < 2 || (i < MOST_ROUNDS && !(await isRefused())); i++) await schedule.troubles();
      const refusals = await schedule.end();
      const { counted, lost, fences } = await tally();
      expect(lost, JSON.stringify(schedule.seen)).toBe(0);
      expect(counted).toBeGreaterThan(100);
      expect(fences).toEqual(fences.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0)));
      expect(refusals['stale_lease']).toBeGreaterThan(0);
      expect(refusals['unknown']).toBeUndefined();
    });
  },
);
