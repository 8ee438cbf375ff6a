/**
 * The benchmark: `npm run bench`. Each contestant has a process of its own; slices of all contestants of a race are interleaved
 * (A B C A B C). Slices are short and a ratio is the median of the ratios within each round, since the speed of a shared machine changes
 * by half from one second to the next. Differences below 15 % mean little.
 * `node test/benchmark/run.mjs <word>` runs the races whose name contains the word.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { coherence } from './coherence.mjs';
import { hitRatios } from './hit-ratio.mjs';
import { overheadOfAnEntry } from './overhead.mjs';
import { startRedis } from './redis.mjs';
import { handOver } from './races.locks.mjs';
import { races } from './races.mjs';
import { stampede } from './stampede.mjs';
import { heading, row } from './table.mjs';

const ROUNDS = 21;
const SLICE_MS = 100;
const WARM_UP_MS = 500;
const CONTESTANT = new URL('./contestant.mjs', import.meta.url);
const wanted = process.argv[2] ?? '';
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];

async function ask(child, task) {
  const answer = once(child, 'message');
  child.send(task);
  return (await answer)[0];
}

async function start(race, name, port) {
  const child = fork(CONTESTANT, [race, name, String(port)], { execArgv: ['--expose-gc'] });
  const [first] = await Promise.race([once(child, 'message'), once(child, 'exit')]);
  if (first !== 'ready') throw new Error(`${race}: ${name} ended with ${first}`);
  return child;
}

async function run(title, race, port) {
  const children = new Map();
  try {
    for (const name of Object.keys(race.contestants)) children.set(name, await start(title, name, port));
    const slices = new Map([...children.keys()].map((name) => [name, []]));
    for (let round = -1; round < ROUNDS; round++) {
      for (const [name, child] of children) {
        const slice = await ask(child, { ms: round < 0 ? WARM_UP_MS : SLICE_MS });
        // The first round warms up.
        if (round >= 0) slices.get(name).push(slice);
      }
    }
    heading(title);
    const ours = slices.get(race.ours);
    for (const [name, child] of children) {
      const theirs = slices.get(name);
      const perSecond = median(theirs.map((slice) => slice.perSecond));
      const cpu = median(theirs.map((slice) => slice.cpu));
      const { bytes } = race.bytesBelow ? await ask(child, { bytes: true }) : {};
      row({
        name,
        perSecond,
        cpu,
        bytes,
        ratio: median(theirs.map((slice, round) => ours[round].perSecond / slice.perSecond)),
        target: race.targets[name],
        bytesBelow: name === race.ours ? race.bytesBelow : undefined,
      });
    }
  } finally {
    for (const child of children.values()) child.kill();
  }
}

const redis = await startRedis();
try {
  for (const [title, race] of Object.entries(races)) if (title.includes(wanted)) await run(title, race, redis.port);
  if ('lock hand-over'.includes(wanted)) await handOver(redis.port);
  if ('stampede'.includes(wanted)) await stampede(redis.port);
  if ('coherence'.includes(wanted)) await coherence(redis.port);
  if ('hit ratio'.includes(wanted)) await hitRatios();
  if ('overhead'.includes(wanted)) overheadOfAnEntry();
} finally {
  await redis.stop();
}
