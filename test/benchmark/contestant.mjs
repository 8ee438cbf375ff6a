/**
 * One contestant of one race, in a process of its own: `node contestant.mjs <race> <name> <port>`. Runs a slice whenever the parent says
 * so, for as many milliseconds as it is told, and reports operations, seconds and (where asked) bytes allocated for each operation.
 */
import { races } from './races.mjs';

const [, , race, name, port] = process.argv;
const contestant = await races[race].contestants[name](Number(port));

async function slice(ms) {
  const started = performance.now();
  const cpu = process.cpuUsage();
  let operations = 0;
  let elapsed;
  do {
    operations += await contestant.round();
    elapsed = performance.now() - started;
  } while (elapsed < ms);
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: (operations * 1000) / elapsed, cpu: (user + system) / operations };
}

/** In small portions, so that no collection falls between the two readings; one that does shows as a drop and is left out. */
async function allocated() {
  const readings = [];
  for (let i = 0; i < 15; i++) {
    globalThis.gc();
    const before = process.memoryUsage().heapUsed;
    const operations = await contestant.round(1000);
    const used = process.memoryUsage().heapUsed - before;
    if (used >= 0) readings.push(used / operations);
  }
  return readings.sort((a, b) => a - b)[readings.length >> 1] ?? Number.NaN;
}

process.on('message', async ({ ms, bytes }) => {
  process.send(bytes ? { bytes: await allocated() } : await slice(ms));
});
process.on('disconnect', () => process.exit());
process.send('ready');
