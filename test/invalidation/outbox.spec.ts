import { Logger } from '@nestjs/common';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { StoreUnavailableError } from '../../src/core/errors/cache.error.js';
import { CacheService, defineEntity, entityTags, TieredCacheModule } from '../../src/index.js';
import { OutboxRelay, type OutboxRelaySettings } from '../../src/invalidation/outbox/outbox-relay.js';
import { outboxInsert, OutboxRelayModule, outboxTableSql, pgListener } from '../../src/invalidation/outbox/index.js';
import { Patience } from '../../src/invalidation/outbox/patience.js';
import type { NotifyListener } from '../../src/invalidation/outbox/pg-listener.js';
import { boot, bootError, closeAll } from '../nest/boot.js';
import { PostgresServer } from '../servers/postgres.server.js';

let postgres: PostgresServer;
let pool: pg.Pool;
beforeAll(async () => {
  postgres = await PostgresServer.start();
  pool = new pg.Pool({ connectionString: postgres.url });
  pool.on('error', () => undefined);
  await pool.query(outboxTableSql());
});
afterAll(async () => {
  await pool.end();
  await postgres.stop();
});
beforeEach(() => pool.query('TRUNCATE tc_outbox'));
afterEach(async () => {
  await Promise.all(relays.splice(0).map((relay) => relay.stop()));
  await closeAll();
  vi.restoreAllMocks();
});

const query = (text: string, values: unknown[]) => pool.query(text, values);
const listen = pgListener(async () => {
  const client = await pool.connect();
  return { client, release: (isBroken) => client.release(isBroken) };
});
const relays: OutboxRelay[] = [];

/** A relay that is running; `publish` may fail. */
function relay(
  publish: (tags: readonly string[]) => Promise<void> | void,
  settings: OutboxRelaySettings = { pollMs: 20 },
): OutboxRelay {
  const made = new OutboxRelay(query, async (tags) => publish(tags), settings);
  relays.push(made);
  made.start();
  return made;
}

async function add(...tags: string[]): Promise<void> {
  await pool.query('INSERT INTO tc_outbox (tags) VALUES ($1)', [JSON.stringify(tags)]);
}

async function left(): Promise<number> {
  return (await pool.query<{ n: number }>('SELECT count(*)::int AS n FROM tc_outbox')).rows[0]?.n as number;
}

const down = new StoreUnavailableError('redis', 'rotate', 'connection');

describe('a row of the outbox', () => {
  it('is written by plain SQL with the change, and not if that is rolled back', async () => {
    const statement = outboxInsert([{ entity: 'Course', kind: 'update', id: 42 }]);
    const client = await pool.connect();
    for (const end of ['ROLLBACK', 'COMMIT']) {
      await client.query('BEGIN');
      await client.query(statement.text, statement.values);
      await client.query(end);
    }
    client.release();
    const { rows } = await pool.query('SELECT tags FROM tc_outbox');
    expect(rows).toEqual([{ tags: ['Course', 'Course:42', 'Course/lists'] }]);
  });

  it('knows the rules of entities, Knex’s placeholders, and other tables', () => {
    const Course = defineEntity('Course', { filters: [['category']] });
    const { text, values } = outboxInsert([{ entity: 'Course', kind: 'delete', id: 1, before: { category: 'art' } }], {
      entities: [Course],
      placeholders: 'question',
      table: 'app.outbox',
    });
    expect(text).toContain('INSERT INTO "app"."outbox" (tags) VALUES (?::jsonb)');
    expect(values).toEqual(['["Course","Course:1","Course?category=art"]', 'app.outbox']);
  });

  it('is refused where PostgreSQL would cut the name of its table, index or channel', () => {
    const table = `app.${'t'.repeat(56)}`;
    expect(() => outboxTableSql({ table })).toThrow(/^table must be a name of at most 59 characters/);
    expect(() => outboxInsert([{ entity: 'Course', kind: 'table' }], { table })).toThrow(/at most 59/);
    expect(outboxTableSql({ table: table.slice(0, 59) })).toContain(`${'t'.repeat(55)}_due`);
  });

  it('is refused when there is nothing to invalidate', () => {
    expect(() => outboxInsert([])).toThrow(/changes must have at least one/);
  });
});

describe('a relay', () => {
  it('publishes what is due, once, and removes it after the store has acknowledged', async () => {
    const seen: Array<{ tags: readonly string[]; left: number }> = [];
    await add('a', 'b');
    await add('b', 'c');
    relay(async (tags) => void seen.push({ tags, left: await left() }));
    await expect.poll(left).toBe(0);
    expect(seen).toEqual([{ tags: ['a', 'b', 'c'], left: 2 }]);
  });

  it('publishes no row by itself because the database would not remove them, and says so once', async () => {
    const warned = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await pool.query(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''kept''; END'`,
    );
    await pool.query('CREATE TRIGGER kept BEFORE DELETE ON tc_outbox FOR EACH STATEMENT EXECUTE FUNCTION refuse()');
    const seen: string[][] = [];
    try {
      for (const tag of ['a', 'b', 'c']) await add(tag);
      relay((tags) => void seen.push([...tags].sort()));
      await expect.poll(() => warned.mock.calls).not.toEqual([]);
      expect(warned.mock.calls).toEqual([['the outbox tc_outbox waits: kept']]);
      expect(seen).toEqual([['a', 'b', 'c']]);
    } finally {
      await pool.query('DROP TRIGGER kept ON tc_outbox');
    }
    await expect.poll(left, { timeout: 5000 }).toBe(0);
    expect(warned).toHaveBeenCalledTimes(1);
  });

  it('is woken by a commit', async () => {
    const seen: string[] = [];
    relay((tags) => void seen.push(...tags), { pollMs: 60_000, listen });
    await expect
      .poll(async () => (await pool.query(`SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%'`)).rowCount)
      .toBe(1);
    const { text, values } = outboxInsert([{ entity: 'Course', kind: 'table' }]);
    await pool.query(text, values);
    await expect.poll(() => seen).toEqual(['Course', 'Course/table']);
  });

  it('goes on polling, and listens again, when its connection is lost', async () => {
    const seen: string[] = [];
    const listeners = `FROM pg_stat_activity WHERE query LIKE 'LISTEN%'`;
    relay((tags) => void seen.push(...tags), { pollMs: 20, listen });
    await expect.poll(async () => (await pool.query(`SELECT pg_terminate_backend(pid) ${listeners}`)).rowCount).toBe(1);
    await add('a');
    await expect.poll(() => seen).toEqual(['a']);
    await expect.poll(async () => (await pool.query(`SELECT 1 ${listeners}`)).rowCount).toBe(1);
  });

  it('shares the rows with others: each is published by one of them', async () => {
    const seen: string[][] = [[], [], [], []];
    for (let i = 0; i < 500; i++) await add(`tag ${i}`);
    for (const mine of seen) relay((tags) => void mine.push(...tags));
    await expect.poll(left).toBe(0);
    expect(seen.flat().length).toBe(500);
    expect(new Set(seen.flat()).size).toBe(500);
  });

  it('leaves a row that nobody can publish behind the others, and asks for it ever more rarely', async () => {
    const warn = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const seen: string[] = [];
    await pool.query(`INSERT INTO tc_outbox (tags) VALUES ('{"not": "a list"}'), ('["bad"]'), ('["good"]')`);
    relay((tags) => {
      if (tags.includes('bad')) throw new TypeError('a tag of poison');
      seen.push(...tags);
    });
    await expect.poll(left).toBe(2);
    await add('later');
    await expect.poll(() => seen).toEqual(['good', 'later']);
    const { rows } = await pool.query(`SELECT attempts, due > clock_timestamp() AS waits FROM tc_outbox`);
    expect(rows).toEqual([
      { attempts: 1, waits: true },
      { attempts: 1, waits: true },
    ]);
    expect(warn.mock.calls.map(([text]) => text as string)).toEqual([
      expect.stringMatching(/^row \d+ of the outbox tc_outbox could not be published \(attempt 1\): tags must be/),
      expect.stringMatching(/^row \d+ .* a tag of poison$/),
    ]);
    await pool.query('UPDATE tc_outbox SET due = clock_timestamp(), attempts = 18');
    await expect.poll(async () => (await pool.query('SELECT 1 FROM tc_outbox WHERE attempts = 19')).rowCount).toBe(2);
    const { rows: waits } = await pool.query(
      'SELECT extract(epoch FROM due - clock_timestamp()) > 25 AS long FROM tc_outbox',
    );
    expect(waits).toEqual([{ long: true }, { long: true }]);
  });

  it('waits while the store is down, and blames no row for it', async () => {
    const warn = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    let calls = 0;
    await add('a');
    relay(() => {
      if (++calls < 4) throw down;
    });
    await expect.poll(left).toBe(0);
    expect(calls).toBe(4);
    expect(warn).toHaveBeenCalledTimes(1);
  });

  it('waits while the database is away', async () => {
    vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const seen: string[] = [];
    await add('a');
    await postgres.kill();
    relay((tags) => void seen.push(...tags));
    await postgres.restart();
    await expect.poll(() => seen, { timeout: 5000 }).toEqual(['a']);
  });

  it('asks again on another connection where one has died without a word', async () => {
    const warn = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const own = new pg.Pool({ connectionString: postgres.url, application_name: 'relay' });
    const seen: string[] = [];
    const made = new OutboxRelay(
      (text, values) => own.query(text, values),
      async (tags) => void seen.push(...tags),
      {
        pollMs: 20,
        queryTimeoutMs: 500,
      },
    );
    made.start();
    const pids = async (): Promise<number[]> => {
      const { rows } = await pool.query<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity WHERE application_name = 'relay'`,
      );
      return rows.map(({ pid }) => pid);
    };
    await expect.poll(async () => (await pids()).length).toBe(1);
    const [silent] = (await pids()) as [number];
    process.kill(silent, 'SIGSTOP');
    try {
      await expect.poll(pids, { timeout: 5000 }).toHaveLength(2);
      await add('a');
      await expect.poll(() => seen).toEqual(['a']);
      expect(warn).toHaveBeenCalledWith('the outbox tc_outbox waits: the database has not answered within 500 ms');
    } finally {
      process.kill(silent, 'SIGCONT');
      await made.stop();
      await own.end();
    }
  });

  it('polls while a connection to listen on is long in coming, and looks at once when it is there', async () => {
    const seen: string[] = [];
    let isThere = (): void => undefined;
    const coming = new Promise<void>((resolve) => (isThere = resolve));
    const slow: NotifyListener = async (...args) => (await coming, listen(...args));
    await add('a');
    relay((tags) => void seen.push(...tags), { pollMs: 60_000, listen: slow });
    await expect.poll(left).toBe(0);
    await add('b');
    isThere();
    await expect.poll(() => seen).toEqual(['a', 'b']);
  });

  it('listens no more often than it polls, where the connection is lost as soon as it is there', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      let [rounds, listens] = [0, 0];
      const lossy: NotifyListener = async (_, __, lost) => {
        listens++;
        setTimeout(lost, 1);
        return async () => undefined;
      };
      const restless = new OutboxRelay(
        () => new Promise((resolve) => setTimeout(() => resolve({ rows: [], _: rounds++ }), 3)),
        async () => undefined,
        { pollMs: 500, listen: lossy },
      );
      relays.push(restless);
      restless.start();
      await vi.advanceTimersByTimeAsync(5000);
      expect(listens).toBeGreaterThan(3);
      expect(Math.max(listens, rounds / 2)).toBeLessThanOrEqual(12);
    } finally {
      vi.useRealTimers();
    }
  });

  it('gives a connection back that comes too late, and asks for another', async () => {
    const comes: Array<() => void> = [];
    const back: number[] = [];
    let askAgain = (): void => undefined;
    const askedAgain = new Promise<void>((resolve) => (askAgain = resolve));
    const slow: NotifyListener = async () => {
      const nth = comes.length;
      await new Promise<void>((resolve) => {
        if (comes.push(resolve) === 2) askAgain();
      });
      return async () => void back.push(nth);
    };
    const made = relay(() => undefined, { pollMs: 20, listen: slow, queryTimeoutMs: 50 });
    await askedAgain;
    for (const come of comes) come();
    await expect.poll(() => back).toEqual([0]);
    await made.stop();
    expect(back).toEqual([0, 1]);
  });

  it('stops listening on a connection that dies at that very moment', async () => {
    const client = await pool.connect();
    const ended = new Promise<void>((resolve) => client.once('end', resolve));
    const stop = await pgListener(async () => ({ client, release: (isBroken) => client.release(isBroken) }))(
      'c',
      () => undefined,
      () => undefined,
    );
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    // Heard with nothing under way: an error that nobody listens for ends the process.
    const query = client.query.bind(client) as (text: string) => Promise<unknown>;
    client.query = (async (text: string) => {
      await pool.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]);
      await ended;
      return query(text);
    }) as never;
    await expect(stop()).resolves.toBeUndefined();
  });

  it('looks no more often than it is told to', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      let looks = 0;
      const slow = new OutboxRelay(
        () => (looks++, { rows: [] }),
        async () => undefined,
        { pollMs: 60_000 },
      );
      relays.push(slow);
      slow.start();
      await vi.advanceTimersByTimeAsync(40_000);
      expect(looks).toBe(1);
      await vi.advanceTimersByTimeAsync(40_000);
      expect(looks).toBe(2);
    } finally {
      vi.useRealTimers();
    }
  });

  it.each(['take rows', 'begin to listen'])(
    'that waits for a database in vain, to %s, ends with the application',
    async (what) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      try {
        const hang = (): Promise<never> => new Promise(() => undefined);
        const stuck = new OutboxRelay(hang, async () => undefined, what === 'take rows' ? {} : { listen: hang });
        stuck.start();
        const stopped = stuck.stop().then(() => 'stopped');
        await vi.advanceTimersByTimeAsync(5000);
        await expect(Promise.race([stopped, 'waits'])).resolves.toBe('stopped');
      } finally {
        vi.useRealTimers();
      }
    },
  );

  it('that dies with rows in its hands leaves them to another', async () => {
    await add('a');
    // Never acknowledged: as if the process had gone. What it took is lent for half a second.
    const dead = new OutboxRelay(query, () => new Promise(() => undefined), { pollMs: 20 });
    dead.start();
    await expect.poll(async () => (await pool.query('SELECT 1 FROM tc_outbox WHERE attempts = 1')).rowCount).toBe(1);
    const seen: string[] = [];
    relay((tags) => void seen.push(...tags));
    await expect.poll(() => seen, { timeout: 3000 }).toEqual(['a']);
  });
});

it('a statement has twice the time for each that is still unanswered, until one is answered', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const answers: Array<() => void> = [];
    const patience = new Patience(10);
    const late: string[] = [];
    const ask = (name: string): Promise<string> =>
      patience.wait(
        () => new Promise<string>((resolve) => answers.push(() => resolve(name))),
        (answer) => late.push(answer),
      );
    const limit = async (name: string): Promise<number> => {
      const told = ask(name).catch((reason: unknown) => (reason as Error).message);
      await vi.runAllTimersAsync();
      return Number(/within (\d+) ms/.exec(await told)?.[1]);
    };
    expect([await limit('a'), await limit('b'), await limit('c')]).toEqual([10, 20, 40]);
    answers[1]?.();
    await vi.advanceTimersByTimeAsync(0);
    expect([await limit('d'), late]).toEqual([40, ['b']]);
    const answered = ask('e');
    answers.at(-1)?.();
    expect(await answered).toBe('e');
    expect(await limit('f')).toBe(10);
    expect(vi.getTimerCount()).toBe(0);
    await expect(patience.wait(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  } finally {
    vi.useRealTimers();
  }
});

describe('OutboxRelayModule', () => {
  it('makes its table, publishes to the cache, and ends with the application', async () => {
    await pool.query('CREATE SCHEMA app');
    const options = { query, listen, table: 'app.outbox', autoCreate: true } as const;
    const app = await boot([TieredCacheModule.forRoot(), OutboxRelayModule.forRoot(options)]);
    const cache = app.get(CacheService);
    await cache.set('course', 1, { tags: entityTags('Course', 42) });
    const { text, values } = outboxInsert([{ entity: 'Course', kind: 'update', id: 42 }], { table: 'app.outbox' });
    await pool.query(text, values);
    await expect.poll(() => cache.has('course')).toBe(false);
    await app.close();
    await expect.poll(() => pool.idleCount).toBe(pool.totalCount);
  });

  it('stops the boot when there is no table, or an option is not one', async () => {
    const missing = await bootError([
      TieredCacheModule.forRoot(),
      OutboxRelayModule.forRoot({ query, table: 'nowhere' }),
    ]);
    expect(missing).toMatchObject({
      code: 'outbox_table_missing',
      message: expect.stringContaining('autoCreate') as string,
    });
    for (const option of ['pollEvery', 'queryTimeout'])
      for (const [period, code] of [
        ['soon', 'invalid_duration'],
        [0, 'invalid_option'],
        ['2d', 'invalid_option'],
      ])
        expect(
          await bootError([TieredCacheModule.forRoot(), OutboxRelayModule.forRoot({ query, [option]: period })]),
        ).toMatchObject({ code, message: expect.stringContaining(option) as string });
  });

  it('makes the table once when many start together', async () => {
    const table = 'together';
    const modules = Array.from({ length: 4 }, () =>
      boot([TieredCacheModule.forRoot(), OutboxRelayModule.forRoot({ query, table, autoCreate: true })]),
    );
    await expect(Promise.all(modules)).resolves.toHaveLength(4);
  });
});
