import { describe, expect, it } from 'vitest';
import { StatementTables } from '../../src/invalidation/statement-tables.js';

const tables = new StatementTables([
  ['courses', 'Course'],
  ['course_parts', 'Lesson'],
  ['Odd.Name', 'Odd'],
]);

const named = (sql: string): string[] => tables.changesOf(sql).map(({ entity }) => entity);

describe('the tables that a statement may change', () => {
  it.each([
    ['INSERT INTO "courses" ("title") VALUES ($1)', ['Course']],
    ['update public.courses set title = $1', ['Course']],
    ['WITH gone AS (DELETE FROM courses RETURNING id) SELECT id FROM gone', ['Course']],
    ['merge into courses using course_parts on true when matched then delete', ['Course', 'Lesson']],
    ['TRUNCATE courses', ['Course']],
    ['copy "course_parts" from stdin', ['Lesson']],
    ['insert into "Odd.Name" values (1)', ['Odd']],
    ['insert into `COURSES` values (1)', ['Course']],
    ["REPLACE INTO courses VALUES ('it''s')", ['Course']],
    // MySQL has more ways to say it.
    ["REPLACE courses SET title = 'a'", ['Course']],
    ['replace into courses values (1)', ['Course']],
    ['REPLACE LOW_PRIORITY INTO courses VALUES (1)', ['Course']],
    ['replace delayed `courses` values (1)', ['Course']],
    ['replace`courses` values (1)', ['Course']],
    ['select 1; replace courses values (1)', ['Course']],
    ['  /* job 7 */ -- nightly\n # again\n REPLACE courses VALUES (1)', ['Course']],
    ['/*! REPLACE */ courses VALUES (1)', ['Course']],
    ['create or replace table courses (id int)', ['Course']],
    ["LOAD DATA LOCAL INFILE 'a.csv' INTO TABLE courses", ['Course']],
    ["LOAD XML INFILE 'a.xml' INTO TABLE courses", ['Course']],
    ['RENAME TABLE courses TO old_courses, new_courses TO courses', ['Course']],
    ['rename tables courses to a', ['Course']],
    ['rename /* now */ table courses to a', ['Course']],
    ['do $$ begin perform 1 from courses; end $$', ['Course']],
    // Where the quotes end differs between dialects: then nothing is taken for a value.
    ["select 'a\\'; delete from courses where title = 'b'", ['Course']],
    // What is quoted is carried out.
    ["EXECUTE IMMEDIATE 'UPDATE courses SET title = ''a'''", ['Course']],
    ["PREPARE renaming FROM 'UPDATE courses SET title = ?'", ['Course']],
    ["EXEC sp_executesql N'UPDATE courses SET title = @t', N'@t text', @t = 'a'", ['Course']],
    ["select dblink_exec('other', 'delete from courses')", ['Course']],
    ["select 1 -- don't\n; delete from courses where title = 'b'", ['Course']],
    ["select 1 as \"it's\" from x; delete from courses where title = 'b'", ['Course']],
  ])('%s', (sql, entities) => {
    expect(named(sql)).toEqual(entities);
    expect(tables.changesOf(sql).every(({ kind }) => kind === 'table')).toBe(true);
  });

  it('are all there are when dependent tables go along', () => {
    expect(named('TRUNCATE "authors" CASCADE')).toEqual(['Course', 'Lesson', 'Odd']);
  });

  it('are those, too, whose rows go with the deleted ones', () => {
    const dependents = new StatementTables(
      [
        ['courses', 'Course'],
        ['course_parts', 'Lesson'],
      ],
      (entity) => (entity === 'Course' ? ['Lesson', 'Answer'] : []),
    );
    const entities = (sql: string): string[] => dependents.changesOf(sql).map(({ entity }) => entity);
    expect(entities('delete from courses')).toEqual(['Course', 'Lesson', 'Answer']);
    expect(entities('delete from course_parts')).toEqual(['Lesson']);
    expect(entities("update courses set title = 'a'")).toEqual(['Course']);
  });

  it.each([
    'select * from courses',
    'SELECT * FROM courses WHERE id = 1 FOR UPDATE',
    'select * from courses for no  key update skip locked',
    'select updated_at, "deletedAt" from courses',
    "select * from courses where action = 'update' and title = 'how to delete'",
    'select "update", `insert` from courses',
    "select replace(title, 'a', 'b'), truncate(price, 2) from courses",
    "select 'replace' from courses",
    'select load, replace, rename from courses',
    'select courses.load data, rename "table" from courses',
    "replace(title, 'a', 'b') from courses",
    "values (replace('a', 'b', 'c')), ((select title from courses))",
    "select title from courses where title = '; replace courses'",
    'insert into old_courses select 1',
    'update coursesx set a = 1',
    'delete from "OddxName"',
    'BEGIN',
    'COMMIT',
    'SAVEPOINT "courses"',
  ])('are none: %s', (sql) => expect(named(sql)).toEqual([]));
});
