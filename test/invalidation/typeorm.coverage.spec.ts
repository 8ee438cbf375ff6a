import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CacheService } from '../../src/index.js';
import { closeAll } from '../nest/boot.js';
import { expectReadmeTable, type Coverage } from './readme-table.js';
import { Course } from './typeorm.entities.js';
import { OPERATIONS, type Operation } from './typeorm.operations.js';
import { goneAfter, TypeOrmSubject } from './typeorm.subject.js';

let subject: TypeOrmSubject;
let source: DataSource;
let cache: CacheService;
const rows: Coverage[] = [];
beforeAll(async () => {
  subject = await TypeOrmSubject.start();
  await subject.database.query(
    `CREATE FUNCTION rename_courses() RETURNS void LANGUAGE sql AS $$ UPDATE course SET title = 'Groups' $$`,
  );
  ({ source, cache } = await subject.application());
});
afterAll(async () => {
  await closeAll();
  await subject.stop();
});

/** In the words of the table. The rows touched are 1 and 2, never 3; lists of art are never concerned. */
function outcome(entity: string, gone: readonly string[]): string {
  const isGone = (name: string): boolean => gone.includes(name);
  if (isGone(`${entity} 3`) || isGone('Seat b1')) return 'everything';
  if (entity === 'Course' && isGone('Courses of art')) return 'its row, every list';
  if (entity === 'Course' && isGone('Courses of maths, page 2')) return 'its row, its lists';
  return gone.some((name) => name.startsWith(entity)) ? 'its row' : 'nothing';
}

async function perform({ run, shows = ['Course'] }: Operation): Promise<string> {
  await subject.seed();
  const { manager } = source;
  const courses = manager.getRepository(Course);
  const work = { source, manager, courses, course: () => courses.findOneByOrFail({ id: 1 }) };
  const gone = await goneAfter(cache, () => run(work));
  const others = gone.filter((name) => !shows.some((entity) => name.startsWith(entity)));
  expect(others, 'entities that are not in the table').toEqual([]);
  const outcomes = shows.map((entity) => [entity, outcome(entity, gone)] as const);
  if (shows.length === 1) return outcomes[0]?.[1] as string;
  return outcomes.map(([entity, what]) => `${entity}: ${what}`).join('; ');
}

describe('what TypeORM writes and what is invalidated', () => {
  it.each(OPERATIONS)('$name', async (operation) => {
    rows.push({ by: operation.name, gone: await perform(operation) });
  });

  // TC_WRITE_README=1 writes it.
  it('is as the table in the README says', () => expectReadmeTable('typeorm', rows));
});
