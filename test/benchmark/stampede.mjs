import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fact, heading } from './table.mjs';

const PROCESSES = 4;
const CALLERS = 250;
const LOADER_MS = 50;
const ROUNDS = 21;
/** On other keys: what is measured is a process that has been at work for a while, not its compiler. */
const WARM_UPS = 20;
const MOST_MS_OVER = 5;

/** 4 processes x 250 callers of one cold key: loader runs, and from the first call to the last answer beyond the loader's own time. */
export async function stampede(port) {
  heading(`Stampede on a cold key, ${PROCESSES} processes x ${CALLERS} callers, loader ${LOADER_MS} ms`);
  const url = new URL('./stampede.worker.mjs', import.meta.url);
  const children = Array.from({ length: PROCESSES }, () =>
    fork(url, [String(port), String(CALLERS), String(LOADER_MS)]),
  );
  try {
    await Promise.all(children.map((child) => once(child, 'message')));
    const over = [];
    let loads = 0;
    for (let round = -WARM_UPS; round < ROUNDS; round++) {
      const answers = Promise.all(children.map((child) => once(child, 'message')));
      const at = Date.now() + 30;
      for (const child of children) child.send({ key: `cold:${round}`, at });
      const results = (await answers).map(([result]) => result);
      if (round < 0) continue;
      loads = Math.max(
        loads,
        results.reduce((sum, result) => sum + result.loads, 0),
      );
      const began = Math.min(...results.map((result) => result.began));
      over.push(
        Math.max(...results.map((result) => result.ended)) -
          began -
          Math.max(...results.map((result) => result.loaderMs)),
      );
    }
    const [least, median, most] = [0, ROUNDS >> 1, ROUNDS - 1].map((i) => over.toSorted((a, b) => a - b)[i].toFixed(1));
    fact('loader runs, at most', String(loads), 'exactly 1', loads === 1);
    fact(
      "over the loader's time, median",
      `${median} ms (${least} to ${most})`,
      `at most ${MOST_MS_OVER} ms`,
      median <= MOST_MS_OVER,
    );
  } finally {
    for (const child of children) child.kill();
  }
}
