import { setTimeout as sleep } from 'node:timers/promises';
import { coherenceContestants } from './coherence.contestants.mjs';
import { now } from '../servers/machine.clock.mjs';

const PAUSE_MS = 3;
const [, , name, port, role] = process.argv;
const { read, update } = await coherenceContestants[name](Number(port));

const roles = {
  /** When each update was begun. */
  async writer({ first, last }) {
    const times = [];
    for (let version = first; version <= last; version++) {
      times.push(now());
      await update(version);
      await sleep(PAUSE_MS);
    }
    return times;
  },
  /** Reads without a pause until the last version is there; when each version, or a later one, was read first. */
  async reader({ first, last }) {
    const times = [];
    for (let next = first; next <= last;) {
      const newest = await read();
      for (; next <= newest; next++) times.push(now());
      await new Promise((resolve) => setImmediate(resolve));
    }
    return times;
  },
};

process.on('message', async (versions) => process.send(await roles[role](versions)));
process.on('disconnect', () => process.exit());
await read();
process.send('ready');
