import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { closeAll } from '../nest/boot.js';
import { Course } from './typeorm.entities.js';
import { goneAfter, TypeOrmSubject } from './typeorm.subject.js';

let subject: TypeOrmSubject;
beforeAll(async () => {
  subject = await TypeOrmSubject.start();
});
afterAll(() => subject.stop());
beforeEach(() => subject.seed());
afterEach(closeAll);

// Teacher 2 has courses 2 and 4; teacher 1 has 1 and 3.
it.each([
  ['IN (SELECT)', '"teacherId" IN (SELECT id FROM public.teacher WHERE id = :t)'],
  [
    'EXISTS',
    'EXISTS (SELECT 1 FROM public.teacher t WHERE t.id = "teacherId" AND t.name = (SELECT u.name FROM public.teacher u WHERE u.id = :t))',
  ],
  ['AND IN (SELECT)', `category = 'maths' OR "teacherId" IN (SELECT id FROM public.teacher WHERE id = :t)`],
])('query builder update, where %s', async (_name, where) => {
  const { source, cache } = await subject.application();
  const found = await goneAfter(cache, async () => {
    await source.manager.createQueryBuilder().update(Course).set({ title: 'Groups' }).where(where, { t: 1 }).execute();
  });
  const { rows } = await subject.database.query(`SELECT id FROM course WHERE title = 'Groups' ORDER BY id`);
  for (const { id } of rows as { id: number }[])
    if (id < 4) expect.soft(found, `course ${id}`).toContain(`Course ${id}`);
});

it('query builder delete by a subquery', async () => {
  const { source, cache } = await subject.application();
  const found = await goneAfter(cache, () =>
    source.manager
      .createQueryBuilder()
      .delete()
      .from('Chapter')
      .where('"courseId" IN (SELECT id FROM public.course WHERE id = :c)', { c: 2 })
      .execute(),
  );
  // chapter 2 is of course 2
  expect(found).toContain('Chapter 3');
});

it('updateAll with a value from a subquery', async () => {
  const { source, cache } = await subject.application();
  const found = await goneAfter(cache, () =>
    source.manager
      .createQueryBuilder()
      .update(Course)
      .set({ title: () => '(SELECT name FROM public.teacher WHERE id = :t)' })
      .setParameter('t', 2)
      .execute(),
  );
  const { rows } = await subject.database.query(`SELECT DISTINCT title FROM course`);
  expect(rows).toEqual([{ title: 'bob' }]);
  expect(found).toEqual(expect.arrayContaining(['Course 1', 'Course 3']));
});

it('a script with its own transaction', async () => {
  const { source, cache } = await subject.application();
  const found = await goneAfter(cache, () => source.query(`BEGIN; UPDATE course SET title = 'Groups'; COMMIT`));
  const { rows } = await subject.database.query(`SELECT DISTINCT title FROM course`);
  expect(rows).toEqual([{ title: 'Groups' }]);
  expect(found).toContain('Course 1');
});

it('a raw transaction whose last statement comes with its commit', async () => {
  const { source, cache } = await subject.application();
  const found = await goneAfter(cache, async () => {
    const runner = source.createQueryRunner();
    await runner.query('BEGIN');
    await runner.query(`UPDATE course SET title = 'Groups'`);
    await runner.query('/* done */ COMMIT');
    await runner.release();
  });
  expect(found).toContain('Course 1');
});
