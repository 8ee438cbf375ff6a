import pg from 'pg';
import { CacheLockService } from '../../../dist/locks/cache-lock.service.js';
import { LockEngine } from '../../../dist/locks/lock-engine.js';
import { claimFence, fencedUpdate } from '../../../dist/locks/fencing/index.js';
import { redisLocks } from '../../../dist/stores/redis/index.js';
import { serve } from './serve.mjs';

// A process that withdraws from an account, as a careful one does: under a lock, checked right before the write. Then it is stopped.
const [redisUrl, databaseUrl] = process.argv.slice(2);
const locks = new CacheLockService(new LockEngine({ store: redisLocks({ url: redisUrl }) }));
const client = new pg.Client(databaseUrl);
await client.connect();
const query = (text, values) => client.query(text, values);

const writes = {
  /** What a lock alone gives. */
  async none({ lease, amount }, pause) {
    const { rows } = await query('SELECT balance FROM account WHERE id = $1', [1]);
    lease.assertHeld();
    pause();
    const left = rows[0].balance - amount;
    await query('UPDATE account SET balance = $1 WHERE id = $2', [left, 1]);
  },
  async row({ lease, amount }, pause) {
    const account = { table: 'account', where: { id: 1 } };
    const { rows } = await fencedUpdate(query, lease, { ...account, returning: ['balance'] });
    lease.assertHeld();
    pause();
    await fencedUpdate(query, lease, { ...account, set: { balance: rows[0].balance - amount } });
  },
  /** The row of the fence guards an insert and a write that know nothing of it. */
  async table({ lease, amount }, pause) {
    await claimFence(query, lease);
    const { rows } = await query('SELECT balance FROM account WHERE id = $1', [1]);
    lease.assertHeld();
    pause();
    await query('BEGIN');
    try {
      await claimFence(query, lease);
      await query('INSERT INTO entry (amount) VALUES ($1)', [amount]);
      await query('UPDATE account SET balance = $1 WHERE id = $2', [rows[0].balance - amount, 1]);
      await query('COMMIT');
    } catch (error) {
      await query('ROLLBACK');
      throw error;
    }
  },
};

serve({
  withdraw: (fencing, amount, isStopped) =>
    locks.run('account', { lease: 500, wait: '10s' }, (lease) =>
      writes[fencing]({ lease, amount }, () => isStopped && process.kill(process.pid, 'SIGSTOP')),
    ),
});
