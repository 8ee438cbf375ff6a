import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { CacheLockService } from '../../../dist/locks/cache-lock.service.js';
import { LockEngine } from '../../../dist/locks/lock-engine.js';
import { fencedUpdate } from '../../../dist/locks/fencing/index.js';
import { redisLocks } from '../../../dist/stores/redis/index.js';
import { serve } from './serve.mjs';

// A process that counts in PostgreSQL, read then write, under a lock in Redis. It is stopped and killed whenever it pleases the test.
const [redisUrl, databaseUrl, fencing] = process.argv.slice(2);
/** Most of the time is spent here, where a process that is stopped has claimed and not yet written. */
const WORK_MS = 30;
const counter = { table: 'counter', where: { id: 1 } };
const locks = new CacheLockService(new LockEngine({ store: redisLocks({ url: redisUrl }) }));
const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
pool.on('error', () => undefined);
const query = (text, values) => pool.query(text, values);

const ways = {
  fence: {
    read: async (lease) => (await fencedUpdate(query, lease, { ...counter, returning: ['value'] })).rows[0],
    write: (lease, value) => fencedUpdate(query, lease, { ...counter, set: { value } }),
  },
  none: {
    read: async () => (await query('SELECT value FROM counter WHERE id = 1')).rows[0],
    write: (_lease, value) => query('UPDATE counter SET value = $1 WHERE id = 1', [value]),
  },
};

let tellHolding = () => undefined;

/** One more, and an entry that says so in the same transaction. */
async function count(lease) {
  const { read, write } = ways[fencing];
  const { value } = await read(lease);
  tellHolding();
  await sleep(WORK_MS);
  await query('BEGIN');
  try {
    await write(lease, value + 1);
    await query('INSERT INTO entry (fence) VALUES ($1)', [String(lease.fencingToken)]);
    await query('COMMIT');
  } catch (error) {
    await query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

const refusals = {};
let isEnding = false;
let ended = Promise.resolve();

/** What fails was not counted, and is not tried again: the next one is as good. */
async function countOn() {
  while (!isEnding) {
    await locks.run('counter', { lease: 300, wait: '2s' }, count).catch(async ({ code = 'unknown' }) => {
      refusals[code] = (refusals[code] ?? 0) + 1;
      await sleep(WORK_MS);
    });
  }
}

serve({
  begin() {
    ended = countOn();
  },
  refusals: () => refusals,
  /** Resolves when it has claimed and not yet written. */
  holding: () => new Promise((resolve) => (tellHolding = resolve)),
  async end() {
    isEnding = true;
    await ended;
    return refusals;
  },
});
