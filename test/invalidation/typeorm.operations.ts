import type { DataSource, EntityManager, Repository } from 'typeorm';
import { Chapter, Course, Person, Seat, Tag, Teacher, Topic, Tutor } from './typeorm.entities.js';

/** What an operation works with: the rows of the seed, through TypeORM. */
export interface Work {
  readonly source: DataSource;
  readonly manager: EntityManager;
  readonly courses: Repository<Course>;
  /** Course 1, of maths. */
  course(): Promise<Course>;
}

/** One way of writing, as the README names it. */
export interface Operation {
  readonly name: string;
  readonly run: (work: Work) => Promise<unknown>;
  /** Not `Course` alone. */
  readonly shows?: readonly string[];
}

const FRESH = { code: 'm3', title: 'Knots', category: 'maths' };

async function rawTransaction({ source }: Work, end: 'COMMIT' | 'ROLLBACK'): Promise<void> {
  const runner = source.createQueryRunner();
  await runner.query('BEGIN');
  await runner.manager.update(Course, 1, { title: 'Groups' });
  await runner.query(end);
  await runner.release();
}

/** Everything that the table in the README says of rows; each on rows of its own. */
export const OPERATIONS: readonly Operation[] = [
  { name: '`save(new)`', run: ({ courses }) => courses.save({ ...FRESH }) },
  {
    name: '`save(loaded and changed)`',
    run: async ({ courses, course }) => courses.save(Object.assign(await course(), { title: 'Groups' })),
  },
  {
    name: '`save()` that moves the row to another list',
    run: async ({ courses, course }) => courses.save(Object.assign(await course(), { category: 'physics' })),
  },
  {
    name: '`save()` of a column that no list depends on',
    run: async ({ courses, course }) => courses.save(Object.assign(await course(), { credits: 9 })),
  },
  { name: '`save({ id, ...some columns })`', run: ({ courses }) => courses.save({ id: 1, title: 'Groups' }) },
  {
    name: '`save([...])`',
    run: ({ courses }) => courses.save([{ id: 1, title: 'Groups' }, { ...FRESH }]),
  },
  {
    name: '`save()` that computes a column: `title: () => "upper(title)"`',
    run: ({ courses }) => courses.save({ id: 1, title: (() => 'upper(title)') as unknown as string }),
  },
  {
    name: '`save(unchanged)`',
    run: async ({ courses, course }) => courses.save(await course()),
  },
  {
    name: '`save(..., { listeners: false })`',
    run: ({ courses }) => courses.save({ id: 1, title: 'Groups' }, { listeners: false }),
  },
  {
    name: '`save(..., { transaction: false })`',
    run: ({ courses }) => courses.save({ id: 1, title: 'Groups' }, { transaction: false }),
  },
  {
    name: '`remove(entity)`',
    run: async ({ courses, course }) => courses.remove(await course()),
    shows: ['Course', 'Chapter', 'Tag'],
  },
  { name: '`softRemove(entity)`', run: async ({ courses, course }) => courses.softRemove(await course()) },
  {
    name: '`recover(entity)`',
    run: async ({ courses, course }) => courses.recover(await courses.softRemove(await course(), { listeners: true })),
  },
  { name: '`insert(row)`', run: ({ courses }) => courses.insert({ ...FRESH }) },
  { name: '`insert([rows])`', run: ({ courses }) => courses.insert([{ ...FRESH }, { ...FRESH, code: 'm4' }]) },
  { name: '`update(id, ...)`', run: ({ courses }) => courses.update(1, { title: 'Groups' }) },
  { name: '`update([ids], ...)`', run: ({ courses }) => courses.update([1, 2], { title: 'Groups' }) },
  { name: '`update(where, ...)`', run: ({ courses }) => courses.update({ category: 'maths' }, { title: 'Groups' }) },
  { name: '`updateAll(...)`', run: ({ courses }) => courses.updateAll({ credits: 1 }) },
  { name: '`delete(id)`', run: ({ courses }) => courses.delete(1), shows: ['Course', 'Chapter'] },
  {
    name: '`delete(where)`',
    run: ({ courses }) => courses.delete({ category: 'maths' }),
    shows: ['Course', 'Chapter'],
  },
  { name: '`deleteAll()`', run: ({ courses }) => courses.deleteAll(), shows: ['Course', 'Chapter'] },
  { name: '`softDelete(id)`', run: ({ courses }) => courses.softDelete(1) },
  { name: '`softDelete(where)`', run: ({ courses }) => courses.softDelete({ category: 'maths' }) },
  { name: '`restore(id)`', run: ({ courses }) => courses.restore(1) },
  {
    name: '`upsert(row, [column])`',
    run: ({ courses }) => courses.upsert({ ...FRESH, code: 'm1' }, ['code']),
  },
  { name: '`increment({ id }, ...)`, `decrement`', run: ({ courses }) => courses.increment({ id: 1 }, 'credits', 1) },
  {
    name: '`increment(where, ...)`',
    run: ({ courses }) => courses.increment({ category: 'maths' }, 'credits', 1),
  },
  { name: '`clear()`', run: ({ manager }) => manager.getRepository(Seat).clear(), shows: ['Seat'] },
  {
    name: 'query builder, `where("id = :id")`',
    run: ({ manager }) =>
      manager.createQueryBuilder().update(Course).set({ title: 'Groups' }).where('id = :id', { id: 1 }).execute(),
  },
  {
    name: 'query builder, any other `where`',
    run: ({ manager }) =>
      manager
        .createQueryBuilder()
        .update(Course)
        .set({ title: 'Groups' })
        .where('id = :id OR credits = 0', { id: 1 })
        .execute(),
  },
  {
    name: 'query builder, `callListeners(false)`',
    run: ({ manager }) =>
      manager
        .createQueryBuilder()
        .update(Course)
        .set({ title: 'Groups' })
        .where('id = 1')
        .callListeners(false)
        .execute(),
  },
  {
    name: 'query builder, `insert().orUpdate()`',
    run: ({ manager }) =>
      manager
        .createQueryBuilder()
        .insert()
        .into(Course)
        .values({ ...FRESH, code: 'm1' })
        .orUpdate(['title'], ['code'])
        .execute(),
  },
  {
    name: '`relation("teacher").of(1).set(2)`',
    run: ({ manager }) => manager.createQueryBuilder().relation(Course, 'teacher').of(1).set(2),
  },
  {
    name: '`relation("tags").of(1).add(2)`: a join table',
    run: ({ manager }) => manager.createQueryBuilder().relation(Course, 'tags').of(1).add(2),
    shows: ['Course', 'Tag'],
  },
  {
    name: '`save()` with other `tags`: a join table',
    run: async ({ courses }) => {
      const course = await courses.findOneOrFail({ where: { id: 1 }, relations: { tags: true } });
      course.tags = [Object.assign(new Tag(), { id: 2 })];
      await courses.save(course);
    },
    shows: ['Course', 'Tag'],
  },
  {
    name: '`save()` that cascades to `chapters`',
    run: async ({ courses }) => {
      const course = await courses.findOneOrFail({ where: { id: 1 }, relations: { chapters: true } });
      (course.chapters[0] as Chapter).heading = 'Intro';
      await courses.save(course);
    },
    shows: ['Course', 'Chapter'],
  },
  {
    name: '`save()` without some of its `chapters`',
    run: async ({ courses }) => {
      const course = await courses.findOneOrFail({ where: { id: 1 }, relations: { chapters: true } });
      course.chapters = [];
      await courses.save(course);
    },
    shows: ['Course', 'Chapter'],
  },
  {
    name: '`ON DELETE CASCADE` (teacher -> course -> chapter)',
    run: ({ manager }) => manager.delete(Teacher, 1),
    shows: ['Teacher', 'Course', 'Chapter'],
  },
  {
    name: 'child of single-table inheritance',
    run: ({ manager }) => manager.save(Tutor, { id: 2, subject: 'maths' }),
    shows: ['Person', 'Tutor'],
  },
  {
    name: 'parent of single-table inheritance',
    run: ({ manager }) => manager.update(Person, 2, { name: 'Tom' }),
    shows: ['Person', 'Tutor'],
  },
  {
    name: 'closure tree: a node moves',
    run: async ({ manager }) => {
      const [node, parent] = [
        await manager.findOneByOrFail(Topic, { id: 2 }),
        await manager.findOneByOrFail(Topic, { id: 3 }),
      ];
      await manager.save(Object.assign(node, { parent }));
    },
    shows: ['Topic'],
  },
  {
    name: 'composite key: `save()`',
    run: ({ manager }) => manager.save(Seat, { hall: 'a', row: 1, holder: 'eve' }),
    shows: ['Seat'],
  },
  {
    name: 'composite key: `update({ hall, row }, ...)`',
    run: ({ manager }) => manager.update(Seat, { hall: 'a', row: 1 }, { holder: 'eve' }),
    shows: ['Seat'],
  },
  {
    name: 'raw `query()` that names the table',
    run: ({ source }) => source.query(`UPDATE course SET title = 'Groups' WHERE id = 1`),
  },
  {
    name: 'raw `query()`: `WITH ... UPDATE`',
    run: ({ source }) =>
      source.query(`WITH c AS (UPDATE "course" SET title = 'Groups' RETURNING id) SELECT count(*) FROM c`),
  },
  {
    name: 'raw `query()` that reads: `SELECT ... FOR UPDATE`',
    run: ({ source }) => source.query(`SELECT * FROM course WHERE id = 1 FOR UPDATE`),
  },
  {
    name: 'transaction, rolled back',
    run: ({ manager }) =>
      manager
        .transaction(async (inner) => {
          await inner.save(Course, { id: 1, title: 'Groups' });
          await inner.update(Course, 2, { title: 'Groups' });
          await inner.query('DELETE FROM course');
          throw new Error('no');
        })
        .catch(() => undefined),
  },
  {
    name: 'savepoint, rolled back in a transaction that commits',
    run: ({ manager }) =>
      manager.transaction(async (outer) => {
        await outer
          .transaction(async (inner) => {
            await inner.update(Course, 1, { title: 'Groups' });
            throw new Error('no');
          })
          .catch(() => undefined);
        await outer.query('SELECT 1');
      }),
  },
  { name: 'raw `BEGIN` ... `COMMIT`', run: (work) => rawTransaction(work, 'COMMIT') },
  { name: 'raw `BEGIN` ... `ROLLBACK`', run: (work) => rawTransaction(work, 'ROLLBACK') },
  {
    name: 'SQL that does not name the table: functions, triggers, views',
    run: ({ source }) => source.query('SELECT rename_courses()'),
  },
  { name: 'anything past TypeORM: `psql`, another service', run: () => Promise.resolve() },
];
