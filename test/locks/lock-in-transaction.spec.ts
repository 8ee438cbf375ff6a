import 'reflect-metadata';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { lockInTransaction, type SqlQuery } from '../../src/locks/fencing/index.js';
import { allOf } from '../../src/locks/lock-key.js';
import { ResourceLockedError } from '../../src/locks/lock.errors.js';
import { PostgresServer } from '../servers/postgres.server.js';
import { failure } from './subject.js';

const TYPEORM = { type: 'postgres', synchronize: false } as const;

let server: PostgresServer;
let one: pg.Client;
let two: pg.Client;
let watcher: pg.Client;

beforeAll(async () => {
  server = await PostgresServer.start();
  watcher = await connect();
  await watcher.query('CREATE TABLE policy (id int PRIMARY KEY, budget int NOT NULL, spent int NOT NULL)');
});
afterAll(async () => {
  await watcher.end();
  await server.stop();
});
beforeEach(async () => {
  [one, two] = await Promise.all([connect(), connect()]);
  await watcher.query('TRUNCATE policy');
  await watcher.query('INSERT INTO policy VALUES (1, 100, 0)');
});
afterEach(async () => {
  await Promise.all([one.end(), two.end()]);
});

async function connect(): Promise<pg.Client> {
  const client = new pg.Client(server.url);
  // A test ends a connection from outside.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

const through =
  (client: pg.Client): SqlQuery =>
  (text, values) =>
    client.query(text, values);

async function begun(client: pg.Client, isolation = 'READ COMMITTED'): Promise<SqlQuery> {
  await client.query(`BEGIN ISOLATION LEVEL ${isolation}`);
  return through(client);
}

/** Once so many wait for an advisory lock. */
async function waiting(count = 1): Promise<void> {
  const look = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'";
  await expect.poll(async () => (await watcher.query(look)).rowCount, { timeout: 10_000 }).toBe(count);
}

const isRefused = async (client: pg.Client, key: Parameters<typeof lockInTransaction>[1]): Promise<boolean> => {
  const query = await begun(client);
  const error = await lockInTransaction(query, key).catch((caught: unknown) => caught);
  await client.query('ROLLBACK');
  if (error !== undefined && !(error instanceof ResourceLockedError)) throw error;
  return error !== undefined;
};

describe('a lock that ends with the transaction', () => {
  it.each(['COMMIT', 'ROLLBACK'])('refuses others until %s', async (end) => {
    await lockInTransaction(await begun(one), ['policy', 1]);
    expect(await isRefused(two, ['policy', 1])).toBe(true);
    expect(await isRefused(two, ['policy', 2])).toBe(false);
    await one.query(end);
    expect(await isRefused(two, ['policy', 1])).toBe(false);
  });

  it('ends with the connection of a holder that died', async () => {
    await lockInTransaction(await begun(one), 'job');
    const { rows } = await one.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const next = lockInTransaction(await begun(two), 'job', { wait: '30s' });
    await waiting();
    await watcher.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]);
    await next;
  });

  it('knows a number of the database and its text in a URL as one record', async () => {
    await lockInTransaction(await begun(one), ['policy', 42]);
    expect(await isRefused(two, ['policy', '42'])).toBe(true);
  });

  it('is no obstacle to its own transaction', async () => {
    const query = await begun(one);
    await lockInTransaction(query, 'a');
    await lockInTransaction(query, allOf('a', 'b'));
    expect(await isRefused(two, 'b')).toBe(true);
  });
});

describe('waiting', () => {
  it('goes in order of arrival, and sees what was committed meanwhile', async () => {
    const third = await connect();
    await lockInTransaction(await begun(one), 'policy');
    const order: string[] = [];
    const spend = async (client: pg.Client, name: string): Promise<void> => {
      await lockInTransaction(await begun(client), 'policy', { wait: '30s' });
      order.push(name);
      const { rows } = await client.query<{ spent: number }>('SELECT spent FROM policy WHERE id = 1');
      await client.query('UPDATE policy SET spent = $1 WHERE id = 1', [(rows[0]?.spent ?? 0) + 10]);
      await client.query('COMMIT');
    };
    const second = spend(two, 'second');
    await waiting(1);
    const last = spend(third, 'third');
    await waiting(2);
    await one.query('UPDATE policy SET spent = 10 WHERE id = 1');
    await one.query('COMMIT');
    await Promise.all([second, last]);
    expect(order).toEqual(['second', 'third']);
    expect((await watcher.query('SELECT spent FROM policy')).rows).toEqual([{ spent: 30 }]);
    await third.end();
  });

  it('ends, and leaves the timeout of the transaction as it was', async () => {
    await lockInTransaction(await begun(one), allOf('a', 'b'));
    const query = await begun(two);
    expect(await failure(lockInTransaction(query, allOf('a', 'b'), { wait: 20 }))).toMatchObject({
      code: 'resource_locked',
      keys: ['a', 'b'],
      retryAfterMs: 1000,
    });
    await two.query('ROLLBACK');

    await begun(two);
    await two.query("SET LOCAL lock_timeout = '7s'");
    const locked = lockInTransaction(query, 'a', { wait: '30s' });
    await waiting();
    await one.query('COMMIT');
    await locked;
    expect((await two.query('SHOW lock_timeout')).rows).toEqual([{ lock_timeout: '7s' }]);
  });

  it('of two that ask for the same keys in another order ends for both', async () => {
    const both = async (client: pg.Client, ...keys: string[]): Promise<void> => {
      await lockInTransaction(await begun(client), allOf(...keys), { wait: '30s' });
      await client.query('COMMIT');
    };
    for (let i = 0; i < 20; i++) await Promise.all([both(one, 'a', 'b', 'c'), both(two, 'c', 'b', 'a')]);
  });

  it('50 at once spend a budget of 100 in tens: ten times', async () => {
    const source = await new DataSource({ ...TYPEORM, url: server.url, extra: { max: 10 } }).initialize();
    const redeem = (): Promise<string> =>
      source.transaction(async (manager) => {
        const query: SqlQuery = (text, values) => manager.query(text, values);
        await lockInTransaction(query, ['policy', 1], { wait: '30s' });
        const [row] = (await manager.query('SELECT budget, spent FROM policy WHERE id = 1')) as Array<
          Record<'budget' | 'spent', number>
        >;
        if (row === undefined || row.spent + 10 > row.budget) return 'empty';
        await manager.query('UPDATE policy SET spent = $1 WHERE id = 1', [row.spent + 10]);
        return 'redeemed';
      });
    const outcomes = await Promise.all(Array.from({ length: 50 }, redeem));
    expect(outcomes.filter((outcome) => outcome === 'redeemed')).toHaveLength(10);
    expect((await watcher.query('SELECT spent FROM policy')).rows).toEqual([{ spent: 100 }]);
    await source.destroy();
  });

  it('in vain is told apart from other errors also by TypeORM', async () => {
    await lockInTransaction(await begun(one), 'a');
    const source = await new DataSource({ ...TYPEORM, url: server.url }).initialize();
    const attempt = source.transaction((manager) =>
      lockInTransaction((text, values) => manager.query(text, values), 'a', { wait: 20 }),
    );
    expect(await failure(attempt)).toBeInstanceOf(ResourceLockedError);
    await source.destroy();
    const query = through(two);
    await begun(two);
    const cancelled = failure(lockInTransaction(query, 'a', { wait: '30s' }));
    await waiting();
    const { rows } = await watcher.query<{ pid: number }>(
      "SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory'",
    );
    await watcher.query('SELECT pg_cancel_backend($1)', [rows[0]?.pid]);
    expect(await cancelled).toMatchObject({ code: '57014' });
  });
});

describe('what cannot be locked', () => {
  it('without a transaction, where the lock would end at once', async () => {
    expect(await failure(lockInTransaction(through(one), 'a'))).toMatchObject({ code: 'no_transaction' });
    const pool = new pg.Pool({ connectionString: server.url });
    const error = await failure(lockInTransaction((text, values) => pool.query(text, values), 'a'));
    expect(error).toMatchObject({ code: 'no_transaction' });
    await pool.end();
  });

  it('in a transaction that does not see what others write meanwhile', async () => {
    const error = await failure(lockInTransaction(await begun(one, 'REPEATABLE READ'), 'a'));
    expect(error).toMatchObject({ code: 'invalid_isolation', message: expect.stringContaining('READ COMMITTED') });
    await lockInTransaction(await begun(two, 'SERIALIZABLE'), 'b');
  });

  it.each<[string, unknown, string]>([
    ['nothing', allOf(), 'invalid_lock_key'],
    ['a part that is missing', ['policy', undefined], 'invalid_lock_key'],
  ])('%s', async (_, key, code) => {
    expect(await failure(lockInTransaction(await begun(one), key as string))).toMatchObject({ code });
  });

  it('by a function that does not give back what the library returned', async () => {
    expect(await failure(lockInTransaction(() => undefined, 'a'))).toMatchObject({ code: 'invalid_query_result' });
  });
});
