import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { compiledSamples } from '../servers/compiled.entry.js';
import { RedisServer } from '../servers/redis.server.js';
import { SampleProcess } from './sample.process.js';

const SAMPLE = '02-bestsellers';
const READY = 'State of the upstream';
const FRESH_FOR_MS = 5000;

interface Top {
  status: number;
  answer: string | null;
  ageMs: number;
  ms: number;
  retryAfter: string | null;
  body: { computedAt: number; books: unknown[]; code?: string };
}

beforeAll(() => compiledSamples());

async function top(sample: SampleProcess, country: string): Promise<Top> {
  const asked = performance.now();
  const response = await fetch(`${sample.url}/bestsellers/${country}`);
  return {
    status: response.status,
    answer: response.headers.get('x-answer'),
    ageMs: Number(response.headers.get('x-age-ms')),
    ms: performance.now() - asked,
    retryAfter: response.headers.get('retry-after'),
    body: (await response.json()) as Top['body'],
  };
}

async function turn(sample: SampleProcess, mode: string): Promise<void> {
  expect((await fetch(`${sample.url}/upstream/${mode}`, { method: 'POST' })).status).toBe(201);
}

async function queries(sample: SampleProcess): Promise<number> {
  return ((await (await fetch(`${sample.url}/upstream`)).json()) as { queries: number }).queries;
}

/** The list of before is stale from now on. */
async function untilStale(list: Top): Promise<void> {
  await sleep(Math.max(0, list.body.computedAt + FRESH_FOR_MS + 20 - Date.now()));
}

describe('sample 02-bestsellers', () => {
  let sample: SampleProcess;

  beforeEach(async () => {
    sample = await SampleProcess.start(SAMPLE, READY);
  });
  afterEach(() => sample.stop('SIGKILL'));

  it('computes once, then answers fresh, then stale at once while a slow upstream is asked, then what it said', async () => {
    const first = await top(sample, 'DE');
    expect([first.status, first.answer, first.body.books.length]).toEqual([200, 'computed', 10]);
    expect(await top(sample, 'DE')).toMatchObject({ answer: 'fresh', body: first.body });
    await turn(sample, 'slow');
    await untilStale(first);
    const stale = await top(sample, 'DE');
    // The upstream takes 2 s; the caller that asks it waits 300 ms.
    expect(stale).toMatchObject({ answer: 'stale', body: first.body });
    expect(stale.ms).toBeLessThan(1500);
    await expect
      .poll(async () => (await top(sample, 'DE')).body.computedAt, { timeout: 10_000 })
      .not.toBe(first.body.computedAt);
    expect(await queries(sample)).toBe(2);
  });

  it('tells who comes to a cold key that it is being computed, and when to come back', async () => {
    await turn(sample, 'slow');
    const first = top(sample, 'FR');
    await expect.poll(() => queries(sample)).toBe(1);
    const others = await Promise.all(Array.from({ length: 20 }, () => top(sample, 'FR')));
    expect(others.map((other) => other.status)).toEqual(Array.from({ length: 20 }, () => 503));
    expect(others[0]).toMatchObject({ body: { code: 'cold_cache' }, retryAfter: expect.stringMatching(/^\d+$/) });
    expect((await first).answer).toBe('computed');
    expect((await top(sample, 'FR')).answer).toBe('fresh');
    expect(await queries(sample)).toBe(1);
  });

  it('survives an upstream that fails or never answers: stale, one attempt per back-off, and recovers', async () => {
    const first = await top(sample, 'US');
    await turn(sample, 'failing');
    await untilStale(first);
    const many = await Promise.all(Array.from({ length: 50 }, () => top(sample, 'US')));
    expect(many.every((one) => one.status === 200 && one.answer === 'stale')).toBe(true);
    expect(await queries(sample)).toBe(2);
    // Nothing to fall back on.
    expect((await top(sample, 'IT')).status).toBe(500);
    await turn(sample, 'dead');
    const cold = await top(sample, 'ES');
    expect(cold.status).toBe(500);
    expect(cold.ms).toBeGreaterThan(2900);
    await turn(sample, 'ok');
    await expect.poll(async () => (await top(sample, 'US')).answer, { timeout: 10_000 }).not.toBe('stale');
  });
});

it('sample 02-bestsellers computes once for two processes on Redis', async () => {
  await using redis = await RedisServer.start();
  const env = { CACHE_URL: redis.url, CACHE_KEY_PREFIX: 'bestsellers' };
  await using one = await SampleProcess.start(SAMPLE, READY, env);
  await using two = await SampleProcess.start(SAMPLE, READY, env);
  const first = await top(one, 'JP');
  expect(await top(two, 'JP')).toMatchObject({ answer: 'fresh', body: first.body });
  expect([await queries(one), await queries(two)]).toEqual([1, 0]);
  expect(await two.stop('SIGTERM')).toBe(0);
});
