import { describe, expect, it } from 'vitest';
import { EntityRules } from '../../src/invalidation/entity-rules.js';
import { defineEntity } from '../../src/invalidation/define-entity.js';
import { entityTags } from '../../src/invalidation/entity-tags.js';
import type { EntityChange } from '../../src/invalidation/entity-change.js';

const course = defineEntity('Course', { filters: [[], ['category']], order: ['title'] });
const teacher = defineEntity('Teacher', { filters: [[]] });
const rules = new EntityRules([course]);

function goes(entry: readonly string[], change: EntityChange, by = rules): boolean {
  const tags = new Set(by.tagsOf([change]));
  return entry.some((tag) => tags.has(tag));
}

const maths = { id: 42, category: 'maths', title: 'Sets', credits: 5 };
const detail = entityTags('Course', 42);
const otherDetail = entityTags('Course', 43);
const page = course.listTags({ ids: [41, 42], where: { category: 'maths' } });
const laterPage = course.listTags({ ids: [50, 51], where: { category: 'maths' } });
const physics = course.listTags({ ids: [60], where: { category: 'physics' } });
const all = course.listTags({ ids: [1, 2] });
const count = entityTags('Course');

describe('what a change of an entity takes', () => {
  it('a column that no list depends on: the detail, the page that shows the row, and what depends on any row', () => {
    const change = {
      entity: 'Course',
      kind: 'update',
      id: 42,
      before: maths,
      after: { ...maths, credits: 6 },
    } as const;
    expect([detail, page, count].every((entry) => goes(entry, change))).toBe(true);
    expect([otherDetail, laterPage, physics, all].some((entry) => goes(entry, change))).toBe(false);
  });

  it('a column that decides: the lists the row was in and the lists it is in now', () => {
    const moved = { ...maths, category: 'physics' };
    const change = { entity: 'Course', kind: 'update', id: 42, before: maths, after: moved } as const;
    expect([detail, page, laterPage, physics, all, count].every((entry) => goes(entry, change))).toBe(true);
    expect(goes(otherDetail, change)).toBe(false);
    expect(goes(course.listTags({ ids: [], where: { category: 'art' } }), change)).toBe(false);
  });

  it('inserted and deleted rows: the lists of their columns', () => {
    for (const change of [
      { entity: 'Course', kind: 'insert', id: 42, after: maths },
      { entity: 'Course', kind: 'delete', id: 42, before: maths },
    ] as const) {
      expect([laterPage, all, count].every((entry) => goes(entry, change))).toBe(true);
      expect([physics, otherDetail].some((entry) => goes(entry, change))).toBe(false);
    }
  });

  it('too little is known: every list of the entity, or everything of it', () => {
    const unknown = { entity: 'Course', kind: 'update', id: 42, after: maths } as const;
    expect([detail, laterPage, physics, all].every((entry) => goes(entry, unknown))).toBe(true);
    expect(goes(otherDetail, unknown)).toBe(false);
    const partial = { entity: 'Course', kind: 'delete', id: 42, before: { id: 42 } } as const;
    expect([laterPage, physics].every((entry) => goes(entry, partial))).toBe(true);
    const table = { entity: 'Course', kind: 'table' } as const;
    expect([detail, otherDetail, page, physics, all, count].every((entry) => goes(entry, table))).toBe(true);
  });

  it('no rule: every list of that entity, and of no other', () => {
    const change = {
      entity: 'Course',
      kind: 'update',
      id: 42,
      before: maths,
      after: { ...maths, credits: 6 },
    } as const;
    const none = new EntityRules();
    expect([detail, laterPage, physics, all].every((entry) => goes(entry, change, none))).toBe(true);
    expect(goes(otherDetail, change, none)).toBe(false);
    expect(goes(teacher.listTags({ ids: [42] }), change, none)).toBe(false);
  });

  it('a long page depends on every row', () => {
    const long = course.listTags({ ids: Array.from({ length: 25 }, (_, i) => i) });
    expect(goes(long, { entity: 'Course', kind: 'update', id: 999, before: maths, after: maths })).toBe(true);
  });

  it('ids are the same row however they are typed; composite ids in any order of their columns', () => {
    expect(entityTags('Course', 42)).toEqual(entityTags('Course', '42'));
    expect(entityTags('Seat', { row: 1, hall: 'a' })).toEqual(entityTags('Seat', { hall: 'a', row: '1' }));
    expect(entityTags('Seat', { row: '1&hall=a' })).not.toEqual(entityTags('Seat', { hall: 'a', row: 1 }));
  });

  it.each([undefined, null, Number.NaN, '', {}, { hall: 'a', row: undefined }, new Date(Number.NaN)])(
    'an id that tells no row (%j) is that of any row',
    (id) => {
      for (const kind of ['insert', 'update', 'delete'] as const)
        expect(goes(detail, { entity: 'Course', kind, id: id as never })).toBe(true);
      expect(goes(entityTags('Course', id as never), { entity: 'Course', kind: 'update', id: 42 })).toBe(true);
      const list = course.listTags({ ids: [id as never], where: { category: 'maths' } });
      const edit = {
        entity: 'Course',
        kind: 'update',
        id: 42,
        before: maths,
        after: { ...maths, credits: 6 },
      } as const;
      expect(goes(list, edit)).toBe(true);
    },
  );

  it('a date as an id is its text', () => {
    expect(entityTags('Day', new Date(0) as never)).toEqual(entityTags('Day', new Date(0).toISOString()));
  });

  it('a column that is undefined is not known', () => {
    const change = { entity: 'Course', kind: 'update', id: 42 } as const;
    const partial = { ...maths, category: undefined };
    for (const [before, after] of [
      [partial, { ...partial, title: 'Groups' }],
      [partial, { ...maths, category: 'physics' }],
      [partial, partial],
    ])
      expect(goes(laterPage, { ...change, before: before!, after: after! })).toBe(true);
    expect(goes(laterPage, { entity: 'Course', kind: 'insert', id: 7, after: partial })).toBe(true);
  });

  it('a filter that is undefined is none', () => {
    expect(course.listTags({ ids: [], where: { category: undefined } })).toEqual(course.listTags({ ids: [] }));
    const strict = defineEntity('Course', { filters: [['category']] });
    expect(() => strict.listTags({ ids: [], where: { category: undefined } })).toThrow(/by \[\] are not declared/);
  });

  it('refuses a filter that no change would be compared with', () => {
    expect(() => course.listTags({ ids: [], where: { level: 1 } })).toThrow(/by \[level\] are not declared/);
    for (const category of [['maths', 'physics'], { not: 'maths' }])
      expect(() => course.listTags({ ids: [], where: { category } })).toThrow(
        /^where\.category of a list of Course must be a single value/,
      );
  });

  it('refuses rules that are none', () => {
    for (const rule of [{}, { filters: ['category'] }, { filters: [], ordr: [] }, { filters: [[1]] }])
      expect(() => defineEntity('Course', rule as never)).toThrow(/^(?:unknown option "|)defineEntity\('Course'\)/);
  });

  it('refuses a name that could be taken for another tag', () => {
    for (const name of ['', 'Course:42', 'Course/table', 'a b', 'Course?x=1']) {
      expect(() => entityTags(name)).toThrow(/entity must be a name/);
    }
  });
});
