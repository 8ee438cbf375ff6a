import { PrismaPg } from '@prisma/adapter-pg';
import { expect, it } from 'vitest';
import type { EntityInvalidationService } from '../../src/invalidation/entity-invalidation.service.js';
import { invalidateFromPrisma } from '../../src/invalidation/prisma/index.js';
import { describeOrm, type CoveredCall, type OrmSubject } from './orm.contract.js';
import { prismaClient } from './prisma-client.js';

type Call = (args: object) => PromiseLike<unknown>;
type Delegate = Record<
  | 'create'
  | 'createMany'
  | 'createManyAndReturn'
  | 'update'
  | 'updateMany'
  | 'updateManyAndReturn'
  | 'upsert'
  | 'delete'
  | 'deleteMany'
  | 'findFirst',
  Call
>;

/** The part of the generated client that the tests use. */
interface Client {
  course: Delegate;
  lesson: Delegate;
  $transaction: {
    <T>(work: (tx: Client) => Promise<T>, options?: { timeout?: number }): Promise<T>;
    (calls: ReadonlyArray<PromiseLike<unknown>>): Promise<unknown[]>;
  };
  $executeRaw(text: TemplateStringsArray, ...values: unknown[]): PromiseLike<number>;
  $executeRawUnsafe(text: string): PromiseLike<number>;
  $queryRaw(text: TemplateStringsArray, ...values: unknown[]): PromiseLike<unknown>;
  $queryRawUnsafe(text: string): PromiseLike<unknown>;
  $extends(extension: object): Client;
  $disconnect(): Promise<void>;
}

interface Generated {
  PrismaClient: new (options: { adapter: unknown }) => Client;
  Prisma: { sql(text: TemplateStringsArray): unknown };
}

const where = { id: 1 };
const RENAMED = { title: 'Algebra II' };
const TOPOLOGY = { title: 'Topology', category: 'maths' };

class PrismaSubject implements OrmSubject<Client> {
  readonly tellsRows = true;

  constructor(
    readonly client: Client,
    /** The same with `cascades`. */
    readonly named: Client,
    readonly generated: Generated,
  ) {}

  static async start(url: string, invalidation: EntityInvalidationService): Promise<PrismaSubject> {
    const generated = await prismaClient<Generated>();
    const client = new generated.PrismaClient({ adapter: new PrismaPg({ connectionString: url }) });
    return new PrismaSubject(
      invalidateFromPrisma(client, invalidation),
      invalidateFromPrisma(client, invalidation, { cascades: { Course: ['Lesson'] } }),
      generated,
    );
  }

  async rename(title: string, tx: Client = this.client): Promise<void> {
    await tx.course.update({ where, data: { title } });
  }

  transaction(work: (tx: Client) => Promise<void>): Promise<void> {
    return this.client.$transaction(work);
  }

  nested(tx: Client, work: (tx: Client) => Promise<void>): Promise<void> {
    return tx.$transaction(work);
  }

  close(): Promise<void> {
    return this.client.$disconnect();
  }
}

/** A course is updated with these writes to its lessons. */
function withLessons(lessons: object) {
  return async ({ client }: PrismaSubject) => client.course.update({ where, data: { views: 1, lessons } });
}

const CALLS: ReadonlyArray<CoveredCall<PrismaSubject>> = [
  {
    by: '`create()`, `createManyAndReturn()`',
    gone: 'its row, its lists',
    runs: [
      async ({ client }) => client.course.create({ data: TOPOLOGY }),
      async ({ client }) => client.course.createManyAndReturn({ data: [TOPOLOGY] }),
    ],
  },
  {
    by: 'the same with a `select` without the id',
    gone: 'everything',
    runs: [async ({ client }) => client.course.create({ data: TOPOLOGY, select: { title: true } })],
  },
  {
    by: '`delete()`',
    gone: 'its row, its lists',
    runs: [
      async ({ client }) => client.course.delete({ where }),
      async ({ client }) => client.course.delete({ where: { title: 'Algebra' } }),
    ],
  },
  {
    by: '`update()`, `upsert()`, `updateManyAndReturn()`',
    gone: 'its row, every list',
    takes: ['maths, page 2', 'art'],
    runs: [
      async ({ client }) => client.course.update({ where, data: { category: 'art' } }),
      async ({ client }) => client.course.update({ where: { title: 'Algebra' }, data: RENAMED }),
      async ({ client }) => client.course.update({ where, data: RENAMED, select: { title: true } }),
      async ({ client }) => client.course.upsert({ where, create: TOPOLOGY, update: RENAMED }),
      async ({ client }) => client.course.updateManyAndReturn({ where, data: RENAMED }),
    ],
  },
  {
    by: '`update()` of an id, `upsert()` that inserts',
    gone: 'everything',
    takes: ['course 1'],
    given: 'DELETE FROM lessons',
    runs: [
      async ({ client }) => client.course.update({ where, data: { id: 9 } }),
      async ({ client }) => client.course.upsert({ where: { id: 9 }, create: TOPOLOGY, update: {} }),
    ],
  },
  {
    by: '`createMany()`, `updateMany()`, `deleteMany()`',
    gone: 'everything',
    runs: [
      async ({ client }) => client.course.createMany({ data: [TOPOLOGY] }),
      async ({ client }) => client.course.updateMany({ where, data: RENAMED }),
      async ({ client }) => client.course.deleteMany({ where }),
    ],
  },
  {
    by: '`update`, `delete`, `disconnect` of other rows within `data`, if their id is given',
    gone: 'its row, every list',
    entity: 'Lesson',
    runs: [
      { update: { where: { id: 1 }, data: { name: 'Rings' } } },
      { delete: { id: 1 } },
      { disconnect: [{ id: 1 }] },
    ].map(withLessons),
  },
  {
    by: '`connect` within `data`, if the id is given',
    gone: 'its row, every list',
    entity: 'Lesson',
    given: 'UPDATE lessons SET course_id = NULL',
    runs: [{ connect: { id: 1 } }, { connect: [{ id: 1 }] }].map(withLessons),
  },
  {
    by: '`create`, `createMany`, `connectOrCreate`, `upsert`, `set`, `updateMany`, `deleteMany` of other rows within `data`',
    gone: 'everything',
    entity: 'Lesson',
    runs: [
      { create: { name: 'Rings' } },
      { createMany: { data: [{ name: 'Rings' }] } },
      { connectOrCreate: { where: { id: 9 }, create: { name: 'Rings' } } },
      { upsert: { where: { id: 9 }, create: { name: 'Rings' }, update: {} } },
      { set: [] },
      { updateMany: { where: {}, data: { name: 'Rings' } } },
      { deleteMany: {} },
    ].map(withLessons),
  },
  {
    by: 'writes within these (a course that is connected to a lesson that is created)',
    gone: 'its row, every list',
    runs: [
      async ({ client }) =>
        client.lesson.update({
          where: { id: 2 },
          data: { next: { create: { name: 'Rings', course: { connect: { id: 1 } } } } },
        }),
    ],
  },
  {
    by: '`$executeRaw`, `$queryRaw` and their `Unsafe` forms, if they name the table',
    gone: 'everything',
    runs: [
      async ({ client }) => client.$executeRaw`UPDATE courses SET title = ${'Algebra II'} WHERE id = 1`,
      async ({ client, generated }) =>
        client.$executeRaw(generated.Prisma.sql`UPDATE courses SET views = 1` as TemplateStringsArray),
      async ({ client }) => client.$executeRawUnsafe("UPDATE courses SET title = 'Algebra II' WHERE id = 1"),
      async ({ client }) => client.$queryRaw`UPDATE courses SET title = ${'Algebra II'} WHERE id = 1 RETURNING id`,
      async ({ client }) => client.$queryRawUnsafe('DELETE FROM courses WHERE id = 1 RETURNING id'),
    ],
  },
  {
    by: 'rows that the database deletes or empties along (`onDelete`)',
    gone: 'nothing',
    entity: 'Lesson',
    runs: [async ({ client }) => client.course.delete({ where })],
  },
  {
    by: 'the same, named in `cascades`',
    gone: 'everything',
    entity: 'Lesson',
    runs: [
      async ({ named }) => named.course.delete({ where }),
      async ({ named }) => named.course.deleteMany({ where }),
      async ({ named }) => named.$executeRaw`DELETE FROM courses`,
    ],
  },
  {
    by: 'what functions, procedures, triggers and views write',
    gone: 'nothing',
    runs: [async ({ client }) => client.$executeRaw`SELECT rename_course()`],
  },
];

describeOrm({
  name: 'Prisma',
  start: (url, invalidation) => PrismaSubject.start(url, invalidation),
  calls: CALLS,
  more: (parts) => {
    it('of an array are invalidated after its commit, and not when one of it fails', async () => {
      const { shown, subject } = parts();
      const { client } = subject;
      const rename = (): PromiseLike<unknown> => client.course.update({ where, data: RENAMED });
      const refused = client.course.create({ data: { title: 'Algebra II', category: '' } });
      await expect(client.$transaction([rename(), refused, client.course.deleteMany({})])).rejects.toThrow('Unique');
      expect(await shown.gone()).toEqual([]);
      await client.$transaction([rename(), client.course.findFirst({ where })]);
      expect(await shown.gone()).toContain('course 1');
      await client.$transaction([]);
    });

    it('of a transaction that takes too long are dropped with it', async () => {
      const { shown, subject } = parts();
      const late = subject.client.$transaction(
        async (tx) => {
          await subject.rename('Algebra II', tx);
          await tx.$queryRaw`SELECT 1 FROM pg_sleep(0.3)`;
        },
        { timeout: 100 },
      );
      await expect(late).rejects.toThrow();
      expect(await shown.gone()).toEqual([]);
    });

    it('are invalidated, too, when nobody knows whether the commit happened', async () => {
      const { database, shown, subject } = parts();
      const cut = subject.client.$transaction(async (tx) => {
        await subject.rename('Algebra II', tx);
        await database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state LIKE 'idle in%'");
      });
      await expect(cut).rejects.toThrow();
      expect(await shown.gone()).toContain('course 1');
    });

    it('are seen through extensions before and after', async () => {
      const { shown, subject } = parts();
      const seen: string[] = [];
      const logged = subject.client.$extends({
        query: {
          $allOperations: ({
            operation,
            args,
            query,
          }: {
            operation: string;
            args: unknown;
            query(args: unknown): unknown;
          }) => {
            seen.push(operation);
            return query(args);
          },
        },
      });
      await logged.$transaction(async (tx) => {
        await subject.rename('Algebra II', tx);
        expect(await shown.gone()).toEqual([]);
      });
      expect(seen).toEqual(['update']);
      expect(await shown.gone()).toContain('course 1');
    });

    it('are not promised for what is no client of Prisma 7', () => {
      const client = { $extends: () => undefined, $transaction: () => undefined };
      const call = (): unknown => invalidateFromPrisma(client, parts().shown.invalidation);
      expect(call).toThrow(expect.objectContaining({ code: 'unsupported_orm' }) as Error);
    });
  },
});
