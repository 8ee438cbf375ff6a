import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { coherenceContestants } from './coherence.contestants.mjs';
import { fact, heading } from './table.mjs';

const UPDATES = 1000;
/** The tenth slowest of 1,000 is as much the machine's doing as the contestant's: what counts is the median of so many runs. */
const RUNS = 9;
/** What is measured is a process that has been at work for a while, not its compiler. */
const WARM_UPS = 2000;
const BARE = 'bare PUBLISH';
const OURS = 'nestjs-tiered-cache';
const MOST = { p50: 2, p99: 4 };

/** Two processes on Redis, 1,000 updates: from the update's beginning to the moment the other process returns the new value. */
export async function coherence(port) {
  heading(`An update seen by another process, ${UPDATES} updates, median of ${RUNS} runs`);
  const url = new URL('./coherence.worker.mjs', import.meta.url);
  const runs = [];
  try {
    for (const name of Object.keys(coherenceContestants)) {
      const [writer, reader] = ['writer', 'reader'].map((role) => fork(url, [name, String(port), role]));
      runs.push({ name, writer, reader, times: [] });
      await Promise.all([once(writer, 'message'), once(reader, 'message')]);
    }
    for (const run of runs) await updates(run, 1, WARM_UPS);
    // In turns, for the speed of a shared machine changes from one second to the next; but without a break within a run: the first update of
    // processes that have stood aside takes twice as long as the others, and of each fifty it was one.
    for (let first = WARM_UPS + 1; first <= WARM_UPS + RUNS * UPDATES; first += UPDATES)
      for (const run of runs) run.times.push(...(await updates(run, first, first + UPDATES - 1)));
    const figures = new Map(
      runs.map(({ name, times }) => [name, { p50: ofRuns(times, 0.5), p99: ofRuns(times, 0.99) }]),
    );
    const bare = figures.get(BARE);
    const ours = figures.get(OURS);
    for (const [name, figure] of figures) {
      for (const quantileName of ['p50', 'p99']) {
        const times = `${figure[quantileName].toFixed(2)} ms`;
        if (name === BARE) fact(`${name}, ${quantileName}`, times);
        else if (name === OURS)
          fact(
            `${name}, ${quantileName}`,
            `${times} (x${(figure[quantileName] / bare[quantileName]).toFixed(2)})`,
            `at most x${MOST[quantileName]} of ${BARE}`,
            figure[quantileName] <= MOST[quantileName] * bare[quantileName],
          );
        else fact(`${name}, ${quantileName}`, times, 'worse than ours', figure[quantileName] > ours[quantileName]);
      }
    }
  } finally {
    for (const { writer, reader } of runs) for (const child of [writer, reader]) child.kill();
  }
}

async function updates({ writer, reader }, first, last) {
  const [begun, seen] = [once(writer, 'message'), once(reader, 'message')];
  reader.send({ first, last });
  await sleep(20);
  writer.send({ first, last });
  const [began] = await begun;
  const [times] = await seen;
  return times.map((at, i) => at - began[i]);
}

/** The median of the runs' quantiles. */
function ofRuns(times, share) {
  const each = Array.from({ length: RUNS }, (_, i) => quantile(times.slice(i * UPDATES, (i + 1) * UPDATES), share));
  return quantile(each, 0.5);
}

function quantile(times, share) {
  return times.toSorted((a, b) => a - b)[Math.floor(share * times.length)];
}
