import { eq, sql } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { integer, pgTable, serial, text } from 'drizzle-orm/pg-core';
import pg from 'pg';
import { expect, it } from 'vitest';
import type { DrizzlePrepared } from '../../src/invalidation/drizzle/drizzle.types.js';
import { invalidateFromDrizzle, type DrizzleLike } from '../../src/invalidation/drizzle/index.js';
import type { EntityInvalidationService } from '../../src/invalidation/entity-invalidation.service.js';
import { describeOrm, type CoveredCall, type OrmSubject } from './orm.contract.js';

const courses = pgTable('courses', {
  id: serial('id').primaryKey(),
  title: text('title').notNull(),
  category: text('category').notNull(),
  views: integer('views').notNull().default(0),
});
const lessons = pgTable('lessons', {
  id: serial('id').primaryKey(),
  name: text('name').notNull(),
  courseId: integer('course_id').references(() => courses.id, { onDelete: 'cascade' }),
});
const tables = { Course: courses, Lesson: lessons };

const TOPOLOGY = { title: 'Topology', category: 'maths' };
const RENAMED = { title: 'Algebra II' };

type Database = NodePgDatabase<typeof tables>;
type Transaction = Parameters<Parameters<Database['transaction']>[0]>[0];

class DrizzleSubject implements OrmSubject<Transaction> {
  readonly tellsRows = false;

  private constructor(
    readonly pool: pg.Pool,
    readonly db: Database,
    /** The same with `cascades`. */
    readonly named: Database,
    readonly invalidation: EntityInvalidationService,
  ) {}

  static start(url: string, invalidation: EntityInvalidationService): DrizzleSubject {
    const pool = new pg.Pool({ connectionString: url });
    pool.on('error', () => undefined).on('connect', (client) => client.on('error', () => undefined));
    const [db, named] = [drizzle(pool, { schema: tables }), drizzle(pool, { schema: tables })];
    invalidateFromDrizzle(db, invalidation, { tables });
    invalidateFromDrizzle(named, invalidation, { tables, cascades: { Course: ['Lesson'] } });
    return new DrizzleSubject(pool, db, named, invalidation);
  }

  async rename(title: string, db: Database | Transaction = this.db): Promise<void> {
    await db.update(courses).set({ title }).where(eq(courses.id, 1));
  }

  transaction(work: (tx: Transaction) => Promise<void>): Promise<void> {
    return this.db.transaction(work);
  }

  nested(tx: Transaction, work: (tx: Transaction) => Promise<void>): Promise<void> {
    return tx.transaction(work);
  }

  close(): Promise<void> {
    return this.pool.end();
  }
}

const CALLS: ReadonlyArray<CoveredCall<DrizzleSubject>> = [
  {
    by: '`insert()`, also with `onConflictDoUpdate()` or `returning()`',
    gone: 'everything',
    runs: [
      async ({ db }) => db.insert(courses).values(TOPOLOGY),
      async ({ db }) =>
        db
          .insert(courses)
          .values({ title: 'Algebra', category: 'art' })
          .onConflictDoUpdate({ target: courses.title, set: { category: 'art' } }),
      async ({ db }) => db.insert(courses).values(TOPOLOGY).returning(),
    ],
  },
  {
    by: '`update()`',
    gone: 'everything',
    runs: [
      async ({ db }) => db.update(courses).set(RENAMED).where(eq(courses.id, 1)),
      async ({ db }) => db.update(courses).set(RENAMED).where(eq(courses.id, 1)).returning({ id: courses.id }),
    ],
  },
  {
    by: '`delete()`',
    gone: 'everything',
    runs: [async ({ db }) => db.delete(courses).where(eq(courses.id, 1))],
  },
  {
    by: 'a prepared statement, each time that it runs',
    gone: 'everything',
    runs: [
      async ({ db }) =>
        db
          .update(courses)
          .set(RENAMED)
          .where(eq(courses.id, sql.placeholder('id')))
          .prepare('rename')
          .execute({ id: 1 }),
    ],
  },
  {
    by: '`with()` around a statement that writes',
    gone: 'everything',
    runs: [
      async ({ db }) => {
        const gone = db.$with('gone').as(db.delete(courses).where(eq(courses.id, 1)).returning({ id: courses.id }));
        await db.with(gone).select().from(gone);
      },
    ],
  },
  {
    by: '`db.execute()` that names the table',
    gone: 'everything',
    runs: [async ({ db }) => db.execute(sql`UPDATE courses SET title = ${'Algebra II'} WHERE id = 1`)],
  },
  {
    by: 'rows that the database deletes or empties along (`onDelete`)',
    gone: 'nothing',
    entity: 'Lesson',
    runs: [async ({ db }) => db.delete(courses)],
  },
  {
    by: 'the same, named in `cascades`',
    gone: 'everything',
    entity: 'Lesson',
    runs: [async ({ named }) => named.delete(courses), async ({ named }) => named.execute(sql`DELETE FROM courses`)],
  },
  {
    by: 'what functions, procedures, triggers and views write',
    gone: 'nothing',
    runs: [async ({ db }) => db.execute(sql`SELECT rename_course()`)],
  },
  {
    by: 'what is sent to `db.$client`, the driver',
    gone: 'nothing',
    runs: [async ({ pool }) => pool.query("UPDATE courses SET title = 'Algebra II' WHERE id = 1")],
  },
];

describeOrm({
  name: 'Drizzle',
  start: async (url, invalidation) => DrizzleSubject.start(url, invalidation),
  calls: CALLS,
  more: (parts) => {
    it('on the only connection there is belong to its transaction, and after that to none', async () => {
      const { database, shown, subject } = parts();
      const client = new pg.Client(database.url);
      await client.connect();
      const db = drizzle(client, { schema: tables });
      invalidateFromDrizzle(db, subject.invalidation, { tables });
      await db.transaction(async (tx) => {
        await subject.rename('Algebra II', tx);
        expect(await shown.gone()).toEqual([]);
      });
      expect(await shown.gone()).toContain('course 1');
      await shown.show();
      await subject.rename('Algebra III', db);
      expect(await shown.gone()).toContain('course 1');
      await client.end();
    });

    it('are invalidated, too, when nobody knows whether the commit happened', async () => {
      const { database, shown, subject } = parts();
      const cut = subject.transaction(async (tx) => {
        await subject.rename('Algebra II', tx);
        await database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state LIKE 'idle in%'");
      });
      await expect(cut).rejects.toThrow();
      expect(await shown.gone()).toContain('course 1');
    });

    it('that the database has refused are none', async () => {
      const { shown, subject } = parts();
      await expect(subject.db.insert(courses).values(TOPOLOGY).onConflictDoNothing()).resolves.toBeDefined();
      await shown.show();
      await expect(subject.rename('Topology')).rejects.toThrow();
      expect(await shown.gone()).toEqual([]);
    });

    it('belong to the outer transaction also where a driver gives a nested one a session of its own (postgres.js)', async () => {
      const { shown, subject } = parts();
      const session = () => ({
        prepareQuery: () => ({ execute: () => Promise.resolve() }),
        transaction: (work: (tx: object) => Promise<unknown>) => work(transaction()),
      });
      const transaction = () => {
        const own = session();
        return { _: { session: own }, transaction: own.transaction };
      };
      const db = { _: { session: session() } };
      invalidateFromDrizzle(db, subject.invalidation, { tables });
      await db._.session.transaction((tx) =>
        (tx as ReturnType<typeof transaction>).transaction(async (inner) => {
          const { prepareQuery } = (inner as typeof db)._.session as { prepareQuery(query: object): DrizzlePrepared };
          await prepareQuery({ sql: 'delete from "courses"' }).execute?.();
          expect(await shown.gone()).toEqual([]);
        }),
      );
      expect(await shown.gone()).toContain('course 1');
    });

    it('are not promised for other databases, nor for what is no table', () => {
      const { invalidation } = parts().subject;
      const attempt =
        (db: object, some: Record<string, object> = tables) =>
        () =>
          invalidateFromDrizzle(db as DrizzleLike, invalidation, { tables: some });
      const sqlite = { _: { session: { prepareQuery: () => undefined } }, resultKind: 'sync' };
      expect(attempt(sqlite)).toThrow(expect.objectContaining({ code: 'unsupported_orm' }) as Error);
      expect(attempt({})).toThrow(expect.objectContaining({ code: 'unsupported_orm' }) as Error);
      const { db } = parts().subject;
      expect(attempt(db, { Course: { name: 'courses' } })).toThrow(
        expect.objectContaining({
          code: 'invalid_option',
          message: expect.stringContaining('tables.Course') as string,
        }) as Error,
      );
    });
  },
});
