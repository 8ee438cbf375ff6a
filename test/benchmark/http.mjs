/**
 * The HTTP benchmark: `npm run bench:http`, some minutes. A hit of a 10 kB JSON page, its 304, and what it is measured against; each server has
 * processes of its own, slices of all are interleaved, and a ratio is the median of the ratios within each round. The load generator shares
 * the machine: where it is the limit, only the server's CPU time for each request tells servers apart. Our module has its default options; "tier awake":
 * something in the application is given the cache, so that each request has a scope of the request tier.
 * `node test/benchmark/http.mjs fastify 4` runs one platform, for so many rounds with each of the processes.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import autocannon from 'autocannon';
import { fact, heading } from './table.mjs';

const PATH = '/books/1';
const CONNECTIONS = 20;
const SLICE_MS = 500;
const WARM_UP_MS = 2000;
const SERVER = new URL('./http.server.mjs', import.meta.url);
/** V8 makes a slower or a faster program of the same code, by chance, and for as long as a process lives: 30 or 40 us for the same hit. */
const GENERATIONS = 4;
const [only = '', rounds = '3'] = process.argv.slice(2);
const ROUNDS = Number(rounds);
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const number = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

async function start(platform, name) {
  const child = fork(SERVER, [platform, name]);
  const [first] = await Promise.race([once(child, 'message'), once(child, 'exit')]);
  if (typeof first?.port !== 'number') throw new Error(`${platform} ${name} ended with ${first}`);
  return { child, url: `http://127.0.0.1:${first.port}${PATH}` };
}

/** Fills what is to be filled, and makes sure that a hit is what will be measured. */
async function prepare({ url }, { status = 200, expects }) {
  const first = await fetch(url);
  await first.arrayBuffer();
  const headers = status === 304 ? { 'if-none-match': first.headers.get('etag') } : {};
  const second = await fetch(url, { headers });
  await second.arrayBuffer();
  const said = second.headers.get('cache-status') ?? '';
  if (second.status !== status || (expects && !said.includes(expects)))
    throw new Error(`${url} answered ${second.status} ${said}`);
  return headers;
}

async function cpuOf({ child }) {
  const answer = once(child, 'message');
  child.send('cpu');
  return (await answer)[0].cpu;
}

async function slice(server, headers, ms) {
  const before = await cpuOf(server);
  const { requests, errors, duration, non2xx, statusCodeStats } = await autocannon({
    url: server.url,
    connections: CONNECTIONS,
    duration: ms / 1000,
    headers,
  });
  const cpu = (await cpuOf(server)) - before;
  if (errors > 0 || non2xx !== (statusCodeStats[304]?.count ?? 0)) throw new Error(`${server.url} failed`);
  return { perSecond: requests.total / duration, cpu: cpu / requests.total };
}

/** `of`: the contestant the figure is a ratio to; the ratio is of requests per second, or of CPU time for each request. */
const targets = [
  { of: 'end', by: 'perSecond', atLeast: { fastify: 0.75, express: 0.65 } },
  { of: 'manager', by: 'cpu', atMost: { fastify: 0.4, express: 0.6 } },
  { of: 'uncached', by: 'cpu', atMost: { fastify: 1, express: 1 } },
  { name: 'page 304', of: 'page', by: 'cpu', atMost: { fastify: 1, express: 1 } },
  { name: 'page, tier awake', of: 'end', by: 'perSecond' },
  { name: 'page, tier awake', of: 'manager', by: 'cpu' },
  { name: 'page, tier awake', of: 'uncached', by: 'cpu', atMost: { fastify: 1, express: 1 } },
  { name: 'lane', of: 'bare', by: 'perSecond', atLeast: { fastify: 0.85, express: 0.85 } },
  { name: 'lane', of: 'bare', by: 'cpu' },
  { name: 'lane, tier awake', of: 'bare', by: 'perSecond' },
];

async function race(platform) {
  const contestants = {
    page: { name: 'page', expects: 'hit' },
    'page 304': { name: 'page', expects: 'hit', status: 304 },
    'page, tier awake': { name: 'tier', expects: 'hit' },
    lane: { name: 'lane', expects: 'hit' },
    'lane, tier awake': { name: 'lane-tier', expects: 'hit' },
    end: { name: 'end' },
    manager: { name: 'manager' },
    uncached: { name: 'uncached' },
    bare: { platform: 'node', name: 'bare' },
  };
  const slices = new Map(Object.keys(contestants).map((title) => [title, []]));
  for (let generation = 0; generation < GENERATIONS; generation++) {
    const servers = new Map();
    try {
      for (const [title, contestant] of Object.entries(contestants)) {
        const server = await start(contestant.platform ?? platform, contestant.name);
        servers.set(title, { ...server, headers: await prepare(server, contestant) });
      }
      for (const server of servers.values()) await slice(server, server.headers, WARM_UP_MS);
      for (let round = 0; round < ROUNDS; round++)
        for (const [title, server] of servers) slices.get(title).push(await slice(server, server.headers, SLICE_MS));
    } finally {
      for (const { child } of servers.values()) child.kill();
    }
  }
  heading(`10 kB JSON page on ${platform}`);
  for (const [title, measured] of slices) {
    const [perSecond, cpu] = ['perSecond', 'cpu'].map((figure) => median(measured.map((one) => one[figure])));
    fact(title, `${number.format(perSecond)}/s ${cpu.toFixed(1).padStart(8)} us CPU`);
  }
  for (const { name = 'page', of, by, atLeast, atMost } of targets) {
    const theirs = slices.get(of);
    const ratio = median(slices.get(name).map((one, round) => one[by] / theirs[round][by]));
    const [target, isMet] = atLeast
      ? [`at least ${atLeast[platform]}`, ratio >= atLeast[platform]]
      : atMost
        ? [`at most ${atMost[platform]}`, ratio <= atMost[platform]]
        : [];
    fact(`${name} / ${of}`, `${ratio.toFixed(2)} of its ${by === 'cpu' ? 'CPU' : 'requests/s'}`, target, isMet);
  }
}

for (const platform of ['fastify', 'express']) if (platform.includes(only)) await race(platform);
