import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CacheService, entityTags, TieredCacheModule } from '../../src/index.js';
import { outboxInsert } from '../../src/invalidation/outbox/index.js';
import { TypeOrmInvalidationModule } from '../../src/invalidation/typeorm/index.js';
import { redis } from '../../src/stores/redis/index.js';
import { boot, bootError, closeAll } from '../nest/boot.js';
import { RedisServer } from '../servers/redis.server.js';
import { Course, Seat, Tag } from './typeorm.entities.js';
import { cacheAll, gone, goneAfter, TypeOrmSubject } from './typeorm.subject.js';

let subject: TypeOrmSubject;
beforeAll(async () => {
  subject = await TypeOrmSubject.start();
});
afterAll(() => subject.stop());
beforeEach(() => subject.seed());
afterEach(closeAll);

const ROW_1 = ['Course 1', 'Courses of maths', 'Courses of maths, page 2', 'Courses of physics', 'Courses of art'];

describe('a transaction of TypeORM', () => {
  it('invalidates after its outermost commit, and not before', async () => {
    const { source, cache } = await subject.application();
    await cacheAll(cache);
    const seen: string[][] = [];
    await source.transaction(async (outer) => {
      await outer.transaction(async (inner) => {
        await inner.update(Course, 1, { title: 'Groups' });
        seen.push(await gone(cache));
      });
      await outer.query('UPDATE tag SET label = label');
      seen.push(await gone(cache));
    });
    expect(seen).toEqual([[], []]);
    expect(await gone(cache)).toEqual(['Course 1', 'Tag 1', 'Tag 2', 'Tag 3', ...ROW_1.slice(1)]);
  });

  it('with a savepoint that is rolled back invalidates what was changed outside it', async () => {
    const { source, cache } = await subject.application();
    const found = await goneAfter(cache, () =>
      source.transaction(async (outer) => {
        await outer.update(Course, 1, { title: 'Groups' });
        const undone = outer.transaction(async (inner) => {
          await inner.update(Course, 2, { title: 'Fields' });
          throw new Error('undone');
        });
        await expect(undone).rejects.toThrow('undone');
      }),
    );
    expect(found).toEqual(expect.arrayContaining(ROW_1));
    expect(found).not.toContain('Course 3');
  });

  it('tells rows apart that are written at the same time', async () => {
    const { source, cache } = await subject.application();
    const found = await goneAfter(cache, () =>
      source.transaction((manager) =>
        Promise.all([
          manager.update(Course, 1, { title: 'Groups' }),
          manager.update(Course, 2, { title: 'Fields' }),
          manager.save(Course, { code: 'm9', title: 'Knots', category: 'maths' }),
        ]),
      ),
    );
    expect(found).toEqual(['Course 1', 'Course 2', ...ROW_1.slice(1)]);
  });

  it('leaves nothing behind on its connection: the next transaction is heard by itself', async () => {
    const { source, cache } = await subject.application();
    const runner = source.createQueryRunner();
    await runner.startTransaction();
    await expect(runner.manager.save(Course, { code: 'm1', title: 'x', category: 'x' })).rejects.toThrow('duplicate');
    await runner.rollbackTransaction();
    const found = await goneAfter(cache, async () => {
      await runner.startTransaction();
      await runner.query(`UPDATE course SET title = 'Groups'`);
      await runner.commitTransaction();
    });
    await runner.release();
    expect(found).toContain('Course 3');
  });

  it('that fails in part and commits all the same takes the table', async () => {
    const { source, cache } = await subject.application();
    const found = await goneAfter(cache, () =>
      source.transaction(async (outer) => {
        const failing = outer.transaction((inner) => inner.save(Course, { code: 'm1', title: 'x', category: 'x' }));
        await expect(failing).rejects.toThrow('duplicate');
        await outer.query(`UPDATE course SET title = 'Groups'`);
      }),
    );
    expect(found).toContain('Course 3');
  });

  it('of which nobody knows whether it was committed is taken to be', async () => {
    const { source, cache } = await subject.application();
    await subject.database.query(`
      CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER hold AFTER UPDATE ON seat DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold()`);
    const found = await goneAfter(cache, async () => {
      const saving = source.getRepository(Seat).save({ hall: 'a', row: 1, holder: 'eve' });
      const failed = expect(saving).rejects.toThrow();
      const kill = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active'`;
      await expect.poll(async () => (await subject.database.query(kill)).rowCount).toBe(1);
      await failed;
    });
    await subject.database.query('DROP FUNCTION hold CASCADE');
    expect(found).toEqual(['Seat a1']);
  });
});

describe('a row that somebody else has moved to another list since it was read', () => {
  it.each([
    [
      'save',
      async (source: DataSource, course: Course) => source.manager.save(Object.assign(course, { title: 'Groups' })),
    ],
    ['remove', async (source: DataSource, course: Course) => source.manager.remove(course)],
    ['softRemove', async (source: DataSource, course: Course) => source.manager.softRemove(course)],
  ])('%s(): the lists that it is in by then', async (_, write) => {
    const { source, cache } = await subject.application();
    // A link that is removed takes every list.
    await subject.database.query('DELETE FROM course_tags_tag');
    const course = await source.manager.findOneByOrFail(Course, { id: 1 });
    const other = await subject.database.connect();
    const found = await goneAfter(cache, async () => {
      await other.query('BEGIN');
      await other.query(`UPDATE course SET category = 'art' WHERE id = 1`);
      const writing = write(source, course);
      const waiting = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'`;
      await expect.poll(async () => (await subject.database.query(waiting)).rowCount).toBe(1);
      await other.query('COMMIT');
      await writing;
    });
    other.release();
    expect(found).toEqual(expect.arrayContaining(['Course 1', 'Courses of art']));
    expect(found).not.toContain('Courses of physics');
  });

  it('only what is declared by its lists is read again', async () => {
    const { source } = await subject.application();
    const statements: string[] = [];
    source.subscribers.push({ beforeQuery: ({ query }) => void statements.push(query) });
    await source.manager.save(Tag, { id: 1, label: 'old' });
    expect(statements.filter((text) => text.includes('FOR NO KEY UPDATE'))).toEqual([]);
    await source.manager.save(Course, { id: 1, title: 'Groups' });
    expect(statements.filter((text) => text.includes('FOR NO KEY UPDATE'))).toHaveLength(1);
  });
});

describe('a reader and a writer in two processes', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  async function two() {
    const options = { remote: redis({ url: server.url }) };
    const writer = await subject.application({}, { remote: redis({ url: server.url }) });
    return { writer, reader: await subject.application({}, options) };
  }

  const tags = entityTags('Course', 1);

  async function title(): Promise<string> {
    const { rows } = await subject.database.query<{ title: string }>('SELECT title FROM course WHERE id = 1');
    return rows[0]?.title as string;
  }

  it('what was read before the commit and comes after the invalidation is served to its caller only', async () => {
    const { writer, reader } = await two();
    const key = 'a course read before';
    let begin = (): void => undefined;
    let open = (): void => undefined;
    const began = new Promise<void>((resolve) => (begin = resolve));
    const gate = new Promise<void>((resolve) => (open = resolve));
    const load = async (): Promise<string> => {
      const found = await title();
      begin();
      await gate;
      return found;
    };
    const late = reader.cache.getOrSet(key, load, { tags });
    await began;
    await writer.source.getRepository(Course).save({ id: 1, title: 'Groups' });
    open();
    expect(await late).toBe('Sets');
    expect(await reader.cache.getOrSet(key, title, { tags })).toBe('Groups');
    expect(await writer.cache.getOrSet(key, title, { tags })).toBe('Groups');
  });

  it('what was read and stored between the write and its commit goes with the commit', async () => {
    const { writer, reader } = await two();
    const key = 'a course read between';
    await writer.source.transaction(async (manager) => {
      await manager.save(Course, { id: 1, title: 'Rings' });
      expect(await reader.cache.getOrSet(key, title, { tags })).toBe('Sets');
      expect(await writer.cache.getOrSet(key, title, { tags })).toBe('Sets');
    });
    expect(await writer.cache.getOrSet(key, title, { tags })).toBe('Rings');
    await expect.poll(() => reader.cache.getOrSet(key, title, { tags })).toBe('Rings');
  });

  it('a store that is down does not fail what is saved', async () => {
    const { writer } = await two();
    await server.kill();
    await writer.source.getRepository(Course).save({ id: 1, title: 'Fields' });
    await server.restart();
    expect(await title()).toBe('Fields');
  });
});

describe('an outbox', () => {
  afterEach(() => subject.database.query('DROP TABLE IF EXISTS tc_outbox'));

  const rows = async (): Promise<string[][]> =>
    (await subject.database.query<{ tags: string[] }>('SELECT tags FROM tc_outbox')).rows.map(({ tags }) => tags);

  it('is written in the transaction, and emptied when the invalidation is acknowledged', async () => {
    const { source, cache } = await subject.application({ outbox: { autoCreate: true } });
    const statements: string[] = [];
    source.subscribers.push({ afterQuery: ({ query }) => void statements.push(query) });
    await cacheAll(cache);
    await source.getRepository(Course).save({ id: 1, title: 'Groups' });
    expect(await gone(cache)).toEqual(['Course 1', 'Courses of maths', 'Courses of maths, page 2']);
    await expect.poll(rows).toEqual([]);
    const words = statements.map(
      (text) => /^(START|UPDATE "course"|INSERT INTO "tc_outbox"|COMMIT|DELETE)/.exec(text)?.[0],
    );
    expect(words.filter((word) => word !== undefined).slice(0, 5)).toEqual([
      'START',
      'UPDATE "course"',
      'INSERT INTO "tc_outbox"',
      'COMMIT',
      'DELETE',
    ]);
  });

  it('has no row of what was rolled back or changed nothing', async () => {
    const { source } = await subject.application({ outbox: { autoCreate: true } });
    const undone = source.transaction(async (manager) => {
      await manager.update(Course, 1, { title: 'Groups' });
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    await source.transaction((manager) => manager.find(Course));
    expect((await subject.database.query(`SELECT pg_sequence_last_value('tc_outbox_id_seq') AS last`)).rows).toEqual([
      { last: null },
    ]);
  });

  it('lets a store that was down catch up, also with what was written outside a transaction', async () => {
    const server = await RedisServer.start();
    const remote = { remote: redis({ url: server.url }) };
    const { source } = await subject.application({ outbox: { autoCreate: true } }, remote);
    const { cache: other } = await subject.application({}, { remote: redis({ url: server.url }) });
    await cacheAll(other);
    await server.kill();
    await source.getRepository(Course).update(1, { title: 'Groups' });
    await source.getRepository(Tag).save({ id: 2, label: 'old' });
    expect((await rows()).flat()).toEqual(expect.arrayContaining(['Course:1', 'Tag:2']));
    await server.restart();
    await expect.poll(rows, { timeout: 10_000 }).toEqual([]);
    expect(await gone(other)).toEqual(expect.arrayContaining(['Course 1', 'Tag 2']));
    await closeAll();
    await server.stop();
  });

  it('is heard when others write to it', async () => {
    const { cache } = await subject.application({ outbox: { autoCreate: true, listen: true, pollEvery: '1m' } });
    await cache.set('course', 1, { tags: entityTags('Course', 1) });
    await expect
      .poll(
        async () =>
          (await subject.database.query(`SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%'`)).rowCount,
      )
      .toBe(1);
    const { text, values } = outboxInsert([{ entity: 'Course', kind: 'update', id: 1 }]);
    await subject.database.query(text, values);
    await expect.poll(() => cache.has('course')).toBe(false);
  });

  it('without its table stops the boot', async () => {
    const error = await subject.application({ outbox: true }).catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: 'outbox_table_missing' });
  });

  it('of a wrong kind stops the boot', () => {
    expect(() => TypeOrmInvalidationModule.forRoot({ outbox: { pollEvry: '1s' } as never })).toThrow(
      'did you mean "pollEvery"',
    );
  });
});

describe('TypeOrmInvalidationModule', () => {
  it('hears the entities that it is told to', async () => {
    const { source, cache } = await subject.application({ entities: [Tag] });
    const found = await goneAfter(cache, async () => {
      await source.getRepository(Course).update(1, { title: 'Groups' });
      await source.query('UPDATE course SET credits = 1');
      await source.getRepository(Tag).update(2, { label: 'old' });
    });
    expect(found).toEqual(['Tag 2']);
  });

  it('hears a DataSource that has a name', async () => {
    const app = await boot([
      TieredCacheModule.forRoot(),
      TypeOrmModule.forRoot({ name: 'reports', type: 'postgres', url: subject.url, entities: [Tag] }),
      TypeOrmInvalidationModule.forRoot({ dataSource: getDataSourceToken('reports') as string }),
    ]);
    const found = await goneAfter(app.get(CacheService), () =>
      app.get<DataSource>(getDataSourceToken('reports')).getRepository(Tag).save({ id: 1, label: 'old' }),
    );
    expect(found).toEqual(['Tag 1']);
  });

  it('refuses a DataSource that nobody has initialised', async () => {
    const error = await bootError([
      TieredCacheModule.forRoot(),
      TypeOrmModule.forRoot({ type: 'postgres', url: subject.url, manualInitialization: true }),
      TypeOrmInvalidationModule.forRoot(),
    ]);
    expect(error).toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining('manualInitialization') as string,
    });
  });

  it('leaves a DataSource that outlives the application', async () => {
    const source = await new DataSource({ type: 'postgres', url: subject.url, entities: [Tag] }).initialize();
    const before = source.subscribers.length;
    const token = Symbol('source');
    class Shared {}
    const app = await boot([
      TieredCacheModule.forRoot(),
      { module: Shared, global: true, providers: [{ provide: token, useValue: source }], exports: [token] },
      TypeOrmInvalidationModule.forRoot({ dataSource: token }),
    ]);
    expect(source.subscribers.length).toBe(before + 1);
    await app.close();
    expect(source.subscribers.length).toBe(before);
    await source.destroy();
  });
});
