import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  claimFence,
  fenceColumn,
  fencedUpdate,
  fenceTable,
  sql,
  StaleLeaseError,
  type SqlQuery,
} from '../../src/locks/fencing/index.js';
import { allOf } from '../../src/locks/lock-key.js';
import { PostgresServer } from '../servers/postgres.server.js';
import { RedisServer } from '../servers/redis.server.js';
import { compiledEntry, forkWorker } from '../servers/worker.process.js';
import { failure, memoryPair } from './subject.js';

const SCRIPT = fileURLToPath(new URL('../servers/workers/fencing.mjs', import.meta.url));

let postgres: PostgresServer;
let client: pg.Client;
const query: SqlQuery = (text, values) => client.query(text, values);
const asKnex: SqlQuery = (text, values) => {
  let i = 0;
  return query(
    text.replaceAll('?', () => `$${++i}`),
    values,
  );
};

beforeAll(async () => {
  postgres = await PostgresServer.start();
  client = await connect();
});
afterAll(async () => {
  await client.end();
  await postgres.stop();
});
beforeEach(async () => {
  await client.query('DROP TABLE IF EXISTS account, entry, tc_fence');
  await client.query(fenceTable());
  await client.query('CREATE TABLE entry (amount int NOT NULL)');
  await client.query('CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL, "closedAt" date)');
  await client.query(fenceColumn('account'));
  await client.query('INSERT INTO account VALUES (1, 100, NULL, 0), (2, 100, now(), 0)');
});

async function connect(): Promise<pg.Client> {
  const connected = new pg.Client(postgres.url);
  await connected.connect();
  return connected;
}

async function account(id = 1): Promise<{ balance: number; fence: string }> {
  const { rows } = await client.query('SELECT balance, fence FROM account WHERE id = $1', [id]);
  return rows[0] as { balance: number; fence: string };
}

describe('4.14 #11 a holder that is stopped between its last check and its write', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    await compiledEntry();
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  /** One process is stopped while it withdraws 10; another withdraws 30 after it has lost the lock; then the first goes on. */
  async function overtaken(fencing: string): Promise<Error | undefined> {
    const options = { args: [redis.url, postgres.url] };
    await using late = await forkWorker(SCRIPT, options);
    await using next = await forkWorker(SCRIPT, options);
    const end = late.call('withdraw', [fencing, 10, true]).then(
      () => undefined,
      (error: Error) => error,
    );
    await expect.poll(() => stopped(late.pid), { timeout: 10_000 }).toBe(true);
    await next.call('withdraw', [fencing, 30]);
    expect((await account()).balance).toBe(70);
    await late.kill('SIGCONT');
    return await end;
  }

  it('undoes what the next holder wrote, if nothing but the lock guards it', async () => {
    expect(await overtaken('none')).toBeUndefined();
    // 40 were paid out.
    expect((await account()).balance).toBe(90);
  });

  it.each(['row', 'table'])('is refused by the fence (%s), and what the next holder wrote stands', async (fencing) => {
    expect(await overtaken(fencing)).toMatchObject({ name: 'StaleLeaseError', code: 'stale_lease' });
    expect((await account()).balance).toBe(70);
    if (fencing === 'table') expect((await client.query('SELECT amount FROM entry')).rows).toEqual([{ amount: 30 }]);
  });
});

function stopped(pid: number | undefined): boolean {
  return execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).startsWith('T');
}

describe.each([
  ['numbered', query],
  ['question', asKnex],
] as const)('fencedUpdate on PostgreSQL, placeholders %s', (placeholders, send) => {
  const options = { placeholders };
  const one = { table: 'public.account', where: { id: 1 } };

  it('writes and leaves its fence; refuses an earlier token, takes the same again and a later one', async () => {
    const spend = (token: bigint, amount: number) =>
      fencedUpdate(
        send,
        token,
        { ...one, set: { balance: sql`balance - ${amount}` }, returning: ['balance'] },
        options,
      );
    expect(await spend(5n, 1)).toEqual({ rows: [{ balance: 99 }], count: 1 });
    expect(await spend(5n, 1)).toEqual({ rows: [{ balance: 98 }], count: 1 });
    expect(await failure(spend(4n, 50))).toBeInstanceOf(StaleLeaseError);
    expect(await spend(2n ** 62n, 1)).toEqual({ rows: [{ balance: 97 }], count: 1 });
    expect(await account()).toEqual({ balance: 97, fence: String(2n ** 62n) });
    expect(await account(2)).toEqual({ balance: 100, fence: '0' });
  });

  it('tells a row that is not there from one that was refused', async () => {
    await fencedUpdate(send, 5n, one, options);
    expect(await fencedUpdate(send, 4n, { table: 'account', where: { id: 3 } }, options)).toEqual({
      rows: [],
      count: 0,
    });
    const open = { table: 'account', where: { id: 2, closedAt: null } };
    expect((await fencedUpdate(send, 4n, open, options)).count).toBe(0);
    const either = { table: 'account', where: sql`id = ${3} OR id = ${1}` };
    expect(await failure(fencedUpdate(send, 4n, either, options))).toMatchObject({
      code: 'stale_lease',
      resource: 'account',
      fencingToken: 4n,
    });
  });

  it('refuses an earlier holder from the moment that a later one has claimed the row, before it has written', async () => {
    const read = await fencedUpdate<{ balance: number }>(send, 6n, { ...one, returning: ['balance'] }, options);
    expect(await failure(fencedUpdate(send, 5n, { ...one, set: { balance: 0 } }, options))).toBeInstanceOf(
      StaleLeaseError,
    );
    await fencedUpdate(send, 6n, { ...one, set: { balance: (read.rows[0]?.balance ?? 0) - 1 } }, options);
    expect((await account()).balance).toBe(99);
  });
});

describe('claimFence on PostgreSQL', () => {
  it('guards each key of a lease by its own token', async () => {
    const { one, two } = memoryPair();
    const early = await one.locks.acquire(allOf('a', 'b'));
    await one.locks.forceRelease('a');
    const late = await two.locks.acquire('a');
    await claimFence(query, late);
    await client.query('BEGIN');
    const error = await failure(claimFence(query, early));
    await client.query('ROLLBACK');
    expect(error).toMatchObject({ code: 'stale_lease', resource: 'a' });
    await claimFence(query, late);
    await claimFence(asKnex, early, { resource: ['b', 1], placeholders: 'question' });
    const { rows } = await client.query('SELECT resource, token FROM tc_fence ORDER BY token DESC');
    expect(rows).toEqual([
      { resource: 'a', token: String(late.fencingToken) },
      { resource: expect.stringMatching(/b.*1/), token: String(early.fencingToken) },
    ]);
  });

  it('makes an earlier holder wait for the transaction of a later one, and then refuses it', async () => {
    const other = await connect();
    await client.query('BEGIN');
    await claimFence(query, 2n, { resource: 'r' });
    let isOver = false;
    const refused = failure(claimFence((text, values) => other.query(text, values), 1n, { resource: 'r' })).finally(
      () => (isOver = true),
    );
    const waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    await expect.poll(async () => (await client.query(waiting)).rowCount).toBe(1);
    expect(isOver).toBe(false);
    await client.query('COMMIT');
    expect(await refused).toBeInstanceOf(StaleLeaseError);
    await other.end();
  });
});

describe('what cannot be fenced', () => {
  const one = { table: 'account', where: { id: 1 } };
  it.each<[string, () => Promise<unknown>]>([
    ['a table that is no name', () => fencedUpdate(query, 1n, { ...one, table: 'account; DROP TABLE account' })],
    ['a column that is no name', () => fencedUpdate(query, 1n, { ...one, set: { 'balance" = 0 --': 1 } })],
    ['every row', () => fencedUpdate(query, 1n, { ...one, where: {} })],
    ['a value that is missing', () => fencedUpdate(query, 1n, { ...one, where: { id: undefined } })],
    ['the fence itself', () => fencedUpdate(query, 1n, { ...one, set: { fence: 0 } })],
    ['nothing of a lease', () => fencedUpdate(query, undefined as unknown as bigint, one)],
    ['a lease without fences', () => claimFence(query, 0n, { resource: 'r' })],
    ['a token without a resource', () => claimFence(query, 1n)],
    ['RETURNING on MySQL', () => fencedUpdate(query, 1n, { ...one, returning: ['id'] }, { dialect: 'mysql' })],
  ])('%s', async (_, attempt) => {
    expect(await failure(attempt())).toMatchObject({ code: 'invalid_option' });
    expect((await account()).fence).toBe('0');
  });

  // A number, for an INSERT, may be the id of another row; Prisma tells no count on MySQL.
  it.each([undefined, null, 1, {}, 'INSERT 0 1', { changes: 1 }])(
    'an answer that does not tell: %j',
    async (answer) => {
      const mute: SqlQuery = () => answer;
      expect(await failure(claimFence(mute, 1n, { resource: 'r' }))).toMatchObject({ code: 'invalid_query_result' });
      expect(await failure(claimFence(mute, 1n, { resource: 'r', dialect: 'mysql' }))).toMatchObject({
        code: 'invalid_query_result',
      });
      const noCount = fencedUpdate(() => [], 1n, one, { dialect: 'mysql' });
      expect(await failure(noCount)).toMatchObject({ code: 'invalid_query_result' });
    },
  );

  it('on MySQL, whoever finds a later token in the table', async () => {
    const statements: string[] = [];
    const answers = [{ affectedRows: 1 }, [[{ token: '2' }], []]];
    const mysql: SqlQuery = (text) => {
      statements.push(text);
      return answers[statements.length - 1];
    };
    expect(await failure(claimFence(mysql, 1n, { resource: 'r', dialect: 'mysql' }))).toBeInstanceOf(StaleLeaseError);
    statements.length = 0;
    await claimFence(mysql, 2n, { resource: 'r', dialect: 'mysql' });
    expect(statements).toEqual([expect.stringContaining('ON DUPLICATE KEY'), expect.stringContaining('FOR UPDATE')]);
  });
});

describe('what libraries return', () => {
  const update = { table: 'account', where: { id: 1 } };
  it.each<[string, 'postgres' | 'mysql', { touched: unknown; none: unknown; noRow: unknown; row: unknown }]>([
    [
      'TypeORM on Postgres',
      'postgres',
      { touched: [[{ updated: 1 }], 1], none: [[], 0], noRow: [], row: [{ refused: 1 }] },
    ],
    ['Prisma', 'postgres', { touched: [{ updated: 1 }], none: [], noRow: [], row: [{ refused: 1 }] }],
    [
      'mysql2 and Knex on MySQL',
      'mysql',
      {
        touched: [{ affectedRows: 1 }, undefined],
        none: [{ affectedRows: 0 }, undefined],
        noRow: [[], []],
        row: [[{ refused: 1 }], []],
      },
    ],
    [
      'TypeORM on MySQL',
      'mysql',
      { touched: { affectedRows: 1 }, none: { affectedRows: 0 }, noRow: [], row: [{ refused: 1 }] },
    ],
  ])('%s', async (_, dialect, { touched, none, noRow, row }) => {
    const send = (answers: unknown[]) => fencedUpdate(() => answers.shift(), 1n, update, { dialect });
    expect((await send([touched])).count).toBe(1);
    expect((await send([none, noRow])).count).toBe(0);
    expect(await failure(send([none, row]))).toBeInstanceOf(StaleLeaseError);
  });

  it('does not take columns of a row for a count', async () => {
    const rows = [{ changes: 0, affectedRows: 0 }];
    expect(await fencedUpdate(() => rows, 1n, update)).toEqual({ rows, count: 1 });
  });
});
