import { Redis } from 'ioredis';
import { openLocks } from './engine.mjs';
import { lockPeers } from './lock.peers.mjs';
import { now } from '../servers/machine.clock.mjs';

/** The process that waits: `node locks.worker.mjs <port>`. Says when it had a lock, and when it heard a bare message. */
const port = Number(process.argv[2]);
const { locks } = openLocks(port);
const lockers = new Map(Object.entries(lockPeers).map(([name, open]) => [name, open(port)]));
lockers.set('ours', {
  acquire: (key) => locks.acquire(key, { wait: '30s' }),
  release: (lease) => lease.release(),
});
const client = new Redis({ port });
await client.subscribe('bare');
client.on('message', () => process.send({ at: now() }));

process.on('message', async (name) => {
  const { acquire, release } = lockers.get(name);
  const lock = await acquire('handed');
  const at = now();
  await release(lock);
  process.send({ at });
});
process.on('disconnect', () => process.exit());
process.send('ready');
