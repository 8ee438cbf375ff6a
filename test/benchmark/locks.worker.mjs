import { Redis } from 'ioredis';
import { openLocks } from './engine.mjs';

/** The process that waits: `node locks.worker.mjs <port>`. Says when it had the lock, and when it heard a bare message. */
const port = Number(process.argv[2]);
const locks = openLocks(port);
const now = () => performance.timeOrigin + performance.now();

const client = new Redis({ port });
await client.subscribe('bare');
client.on('message', () => process.send({ at: now() }));

process.on('message', async () => {
  const lease = await locks.acquire('handed', { wait: '30s' });
  const at = now();
  await lease.release();
  process.send({ at });
});
process.on('disconnect', () => process.exit());
process.send('ready');
