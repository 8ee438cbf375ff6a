import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { coherenceContestants } from './coherence.contestants.mjs';
import { now } from '../servers/machine.clock.mjs';

const [, , name, port, role] = process.argv;
const { read, update } = await coherenceContestants[name](Number(port));

const roles = {
  /** When each update was begun. */
  async writer({ first, last, pauseMs }) {
    const times = [];
    for (let version = first; version <= last; version++) {
      times.push(now());
      await update(version);
      await (pauseMs === 0 ? turn() : sleep(pauseMs));
    }
    return times;
  },
  /** Reads without a pause until the last version is there; when each version, or a later one, was read first. */
  async reader({ first, last }) {
    const times = [];
    for (let next = first; next <= last;) {
      const newest = await read();
      for (; next <= newest; next++) times.push(now());
      await turn();
    }
    return times;
  },
};

process.on('message', async (versions) => process.send(await roles[role](versions)));
process.on('disconnect', () => process.exit());
await read();
process.send('ready');
