import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compiledSamples } from '../servers/compiled.entry.js';
import { PostgresServer } from '../servers/postgres.server.js';
import { ProcessReaper } from '../servers/process.reaper.js';
import { RedisServer } from '../servers/redis.server.js';
import { SampleProcess } from './sample.process.js';

const SAMPLE = '03-redeem';
const READY = 'Policies on';
const DIST = fileURLToPath(new URL('../../dist/sample/03-redeem/', import.meta.url));

interface Answer {
  status: number;
  body: Record<string, unknown>;
  isReplay: boolean;
}

let postgres: PostgresServer;
let redis: RedisServer;
let database: pg.Pool;
beforeAll(async () => {
  await compiledSamples();
  [postgres, redis] = await Promise.all([PostgresServer.start(), RedisServer.start()]);
  database = new pg.Pool({ connectionString: postgres.url, options: '-c search_path=redeem' });
});
afterAll(async () => {
  await database.end();
  await Promise.all([postgres.stop(), redis.stop()]);
});

function environment(more: Record<string, string> = {}): Record<string, string> {
  return { DATABASE_URL: postgres.url, CACHE_URL: redis.url, PROVIDER_MS: '1', ...more };
}

async function post(
  sample: SampleProcess,
  path: string,
  { learner = '', ...body }: { learner?: string; amount?: number; budget?: number },
  key = '',
): Promise<Answer> {
  const headers = {
    'content-type': 'application/json',
    ...(learner && { 'x-learner': learner }),
    ...(key && { 'idempotency-key': key }),
  };
  const response = await fetch(sample.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
  const isReplay = response.headers.get('idempotent-replayed') === 'true';
  return { status: response.status, body: (await response.json()) as Answer['body'], isReplay };
}

async function newPolicy(sample: SampleProcess, budget: number): Promise<string> {
  return `/policies/${String((await post(sample, '/policies', { budget })).body['id'])}`;
}

async function state(sample: SampleProcess, policy: string): Promise<Record<string, unknown>> {
  return (await (await fetch(sample.url + policy)).json()) as Record<string, unknown>;
}

/** Runs a compiled script of the sample to its end; it and what it starts do not outlive this process. */
async function run(
  script: string,
  env: Record<string, string>,
): Promise<{ code: number; output: string; errors: string }> {
  const child = spawn(process.execPath, [DIST + script], {
    env: { ...process.env, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  ProcessReaper.get().hold(child.pid as number);
  const [[code], output, errors] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
  ProcessReaper.get().release(child.pid as number);
  return { code: code as number, output, errors };
}

/** A payment provider that answers when it is told to: who waits for it has made sure that it holds the lock. */
class SlowProvider implements AsyncDisposable {
  private constructor(
    private readonly server: Server,
    /** Answers who asked first. */
    readonly asked: Promise<() => void>,
  ) {}

  static async start(): Promise<SlowProvider> {
    const server = createServer().listen(0, '127.0.0.1');
    const asked = once(server, 'request').then(
      ([, response]) =>
        () =>
          void (response as ServerResponse).end(),
    );
    await once(server, 'listening');
    return new SlowProvider(server, asked);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}

describe('sample 03-redeem', () => {
  it('redeems once for a key, replays its receipt, and refuses what is not the same or too much', async () => {
    await using sample = await SampleProcess.start(SAMPLE, READY, environment());
    const policy = await newPolicy(sample, 100);
    const first = await post(sample, `${policy}/redeem`, { learner: 'ada', amount: 60 }, 'k1');
    expect(first).toMatchObject({ status: 201, body: { learner: 'ada', amount: 60 }, isReplay: false });
    const again = await post(sample, `${policy}/redeem`, { learner: 'ada', amount: 60 }, 'k1');
    expect(again).toEqual({ ...first, isReplay: true });
    const other = await post(sample, `${policy}/redeem`, { learner: 'ada', amount: 1 }, 'k1');
    expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
    const eve = await post(sample, `${policy}/redeem`, { learner: 'eve', amount: 1 }, 'k1');
    expect(eve).toMatchObject({ status: 201, body: { learner: 'eve', amount: 1 }, isReplay: false });
    const tooMuch = await post(sample, `${policy}/redeem`, { learner: 'bob', amount: 41 }, 'k2');
    expect(tooMuch).toMatchObject({ status: 422, body: { code: 'budget_exhausted', left: 39 } });
    expect((await post(sample, `${policy}/redeem`, { learner: 'bob', amount: 39 }, 'k3')).status).toBe(201);
    expect(await state(sample, policy)).toMatchObject({ budget: 100, spent: 100, redeemed: 100, redemptions: 3 });
    expect((await post(sample, `${policy}/redeem`, { learner: 'bob', amount: 1 })).status).toBe(400);
    expect((await post(sample, '/policies/99/redeem', { learner: 'bob', amount: 1 }, 'k4')).status).toBe(404);
    expect((await post(sample, `${policy}/redeem`, { amount: 1 }, 'k5')).status).toBe(401);
  });

  it('does a double click once, on one process or on two', async () => {
    await using one = await SampleProcess.start(SAMPLE, READY, environment({ PROVIDER_MS: '100' }));
    await using two = await SampleProcess.start(SAMPLE, READY, environment({ PROVIDER_MS: '100' }));
    const policy = await newPolicy(one, 100);
    const clicks = [one, one, two].map((sample) =>
      post(sample, `${policy}/redeem`, { learner: 'eve', amount: 7 }, 'click'),
    );
    const answers = await Promise.all(clicks);
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(answers.filter(({ isReplay }) => !isReplay).length).toBe(1);
    expect(await state(two, policy)).toMatchObject({ spent: 7, redeemed: 7, redemptions: 1 });
  });

  /** One process is stopped while it holds the lock and has asked the provider, another redeems after it has lost it, then the first goes on. */
  async function overtaken(env: Record<string, string>): Promise<{ late: Answer; after: Record<string, unknown> }> {
    await using provider = await SlowProvider.start();
    await using one = await SampleProcess.start(SAMPLE, READY, environment({ PROVIDER_URL: provider.url, ...env }));
    await using two = await SampleProcess.start(SAMPLE, READY, environment(env));
    const policy = await newPolicy(one, 100);
    const late = post(one, `${policy}/redeem`, { learner: 'late', amount: 60 }, `late-${policy}`);
    const answer = await provider.asked;
    one.signal('SIGSTOP');
    const next = await post(two, `${policy}/redeem`, { learner: 'next', amount: 50 }, `next-${policy}`);
    expect(next.status).toBe(201);
    answer();
    one.signal('SIGCONT');
    return { late: await late, after: await state(two, policy) };
  }

  it('refuses a holder that was stopped for longer than its lease', async () => {
    const { late, after } = await overtaken({});
    expect(late).toMatchObject({ status: 503, body: { code: 'stale_lease' } });
    expect(after).toMatchObject({ spent: 50, redeemed: 50, redemptions: 1 });
  });

  it('would spend more than the budget without the fence', async () => {
    const { late, after } = await overtaken({ FENCING: 'off' });
    expect(late.status).toBe(201);
    expect(after).toMatchObject({ budget: 100, spent: 60, redeemed: 110, redemptions: 2 });
  });

  it('tells what it needs when there is no database', async () => {
    const { code, errors } = await run('main.js', { DATABASE_URL: '' });
    expect(code).toBe(1);
    expect(errors).toContain('DATABASE_URL=postgres://');
  });
});

it('a storm: 500 redeems on 4 processes that are stopped and killed as they hold the lock; nothing lost, doubled or overspent', async () => {
  const { code, output, errors } = await run('storm.js', environment({ PROVIDER_MS: '10', SEED: '5', TROUBLES: '10' }));
  expect(output, errors).toContain('"problems"');
  const report = JSON.parse(output) as Record<string, number> & { problems: string[]; retries: Record<string, number> };
  expect(report.problems).toEqual([]);
  expect(report).toMatchObject({ processes: 4, redeems: 500 });
  expect(report['granted']).toBeGreaterThan(300);
  expect(report['holdersStopped']).toBeGreaterThan(0);
  expect(report['holdersKilled']).toBeGreaterThan(0);
  // Who asked again under the same key was given the same answer, or the storm would have thrown.
  expect(report.retries['replayed']).toBeGreaterThan(50);
  expect(code).toBe(0);
}, 240_000);
