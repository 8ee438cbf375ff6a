import { Agent, get } from 'node:http';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { quantile, until } from '../faults/subject.js';
import { compiledEntry, forkWorker } from '../servers/worker.process.js';

const REQUESTS = 10_000;
const CONNECTIONS = 40;
const SCRIPT = fileURLToPath(new URL('../servers/workers/cold-http.mjs', import.meta.url));

interface Answer {
  status: number | undefined;
  retryAfter: string | undefined;
  ms: number;
}

function request(port: number, path: string, agent: Agent): Promise<Answer> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent }, (response) => {
      response.resume().on('end', () =>
        resolve({
          status: response.statusCode,
          retryAfter: response.headers['retry-after'],
          ms: performance.now() - began,
        }),
      );
    }).on('error', reject);
  });
}

/** All requests to `path`, so many at a time; and meanwhile, one after the other, requests to another route. */
async function storm(port: number, path: string): Promise<{ answers: Answer[]; others: number[] }> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const own = new Agent({ keepAlive: true, maxSockets: 1 });
  const answers: Answer[] = [];
  const others: number[] = [];
  let sent = 0;
  const client = async (): Promise<void> => {
    while (sent++ < REQUESTS) answers.push(await request(port, path, agent));
  };
  const clients = Array.from({ length: CONNECTIONS }, client);
  let isOver = false;
  const all = Promise.all(clients).finally(() => (isOver = true));
  while (!isOver) others.push((await request(port, '/quick', own)).ms);
  await all;
  agent.destroy();
  own.destroy();
  return { answers, others };
}

/** What they cost is compared with what as many refusals cost that know of no cache. */
it(
  `${REQUESTS} requests for a report that takes 5 s: all refused with Retry-After, and other routes do not notice`,
  { timeout: 120_000 },
  async () => {
    await compiledEntry();
    await using server = await forkWorker(SCRIPT);
    const port = await server.call<number>('port');
    const agent = new Agent({ keepAlive: true });
    await storm(port, '/refused');

    await server.call('lag');
    const refused = await storm(port, '/refused');
    const before = await server.call<{ p50: number; p99: number }>('lag');

    const winner = request(port, '/cold', agent);
    await until(async () => (await server.call('runs')) === 1, 5000);
    await server.call('lag');
    const cold = await storm(port, '/cold');
    const during = await server.call<{ p50: number; p99: number }>('lag');
    await server.call('finish');

    expect(await winner).toMatchObject({ status: 200 });
    expect(await server.call('runs')).toBe(1);
    expect(cold.answers.length).toBe(REQUESTS);
    expect(new Set(cold.answers.map(({ status }) => status))).toEqual(new Set([503]));
    expect(new Set(cold.answers.map(({ retryAfter }) => retryAfter))).toEqual(new Set(['5']));
    expect(await request(port, '/cold', agent)).toMatchObject({ status: 200, retryAfter: undefined });
    agent.destroy();

    if (process.env['TC_REPORT'])
      for (const [what, { others, answers }, lag] of [
        ['refused', refused, before],
        ['cold', cold, during],
      ] as const)
        console.log(
          `${what}: others p50 ${quantile(others, 0.5).toFixed(1)} p99 ${quantile(others, 0.99).toFixed(1)}; own p99 ${quantile(
            answers.map(({ ms }) => ms),
            0.99,
          ).toFixed(1)}; lag p50 ${lag.p50.toFixed(1)} p99 ${lag.p99.toFixed(1)} ms`,
        );
    const slack = 20;
    expect(quantile(cold.others, 0.99)).toBeLessThan(2 * quantile(refused.others, 0.99) + slack);
    expect(during.p99).toBeLessThan(2 * before.p99 + slack);
  },
);
