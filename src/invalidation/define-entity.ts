import { CacheUsageError } from '../core/errors/cache.error.js';
import { fail, fields, isText, listOf } from '../option-checks.js';
import { isRowId, type EntityId, type EntityRow } from './entity-change.js';
import { anyRow, entityTags, lists, listsWhere, row, table } from './entity-tags.js';

/** Rows of a list beyond this are not tagged one by one: the list then depends on every row there is. */
const MAX_ROWS = 24;

const isRule = fields({ filters: listOf(listOf(isText)), order: listOf(isText) }, ['filters']);

/** How the lists of one entity are filtered and sorted, so that a change takes no more of them than it must. */
export interface EntityRule {
  /** The filters under which lists are cached, each the columns it compares; `[]` stands for lists of all rows. */
  readonly filters: readonly (readonly string[])[];
  /** Further columns on which the order of rows, or their place in a list, depends. Default: none. */
  readonly order?: readonly string[];
}

/** What a cached page of a list shows. */
export interface ListContents {
  /** The ids of the rows shown. */
  readonly ids: Iterable<EntityId>;
  /**
   * The filter by which rows were chosen, e.g. `{ category: 'maths' }`: the columns of one of the declared filters, each with one value; one that
   * is `undefined` counts as left out. Default: all rows.
   */
  readonly where?: EntityRow;
}

/** An entity whose lists are cached. Its tags and the invalidation of them follow one rule, so neither can forget what the other does. */
export class EntityDefinition {
  constructor(
    readonly name: string,
    readonly rule: EntityRule,
  ) {
    entityTags(name);
    isRule(rule, `defineEntity('${name}')`);
  }

  /** The tags of an entry that shows one row. As {@link entityTags}. */
  tags(id: EntityId): string[] {
    return entityTags(this.name, id);
  }

  /**
   * The tags of a page of a list. It goes when one of its rows changes, when a row enters, leaves or moves within the lists of this
   * filter, or when nobody knows. A page of more than 24 rows goes with every change.
   * @throws CacheUsageError `undeclared_filter`, `invalid_option` for a filter that is no single value, as ranges and IN
   */
  listTags({ ids, where = {} }: ListContents): string[] {
    const conditions = Object.entries(where).filter(([, value]) => value !== undefined);
    for (const [column, value] of conditions) checkCondition(`where.${column} of a list of ${this.name}`, value);
    this.checkFilter(conditions.map(([column]) => column));
    const shown = [...ids];
    const rows = new Set(shown.filter(isRowId).map((id) => row(this.name, id)));
    if (rows.size > MAX_ROWS || !shown.every(isRowId)) return [anyRow(this.name), table(this.name)];
    return [table(this.name), lists(this.name), listsWhere(this.name, Object.fromEntries(conditions)), ...rows];
  }

  /** A list under a filter that no rule knows would never hear of rows that enter it. */
  private checkFilter(columns: readonly string[]): void {
    const isDeclared = this.rule.filters.some(
      (filter) => filter.length === columns.length && filter.every((column) => columns.includes(column)),
    );
    if (isDeclared) return;
    throw new CacheUsageError(
      'undeclared_filter',
      `lists of ${this.name} by [${columns.join(', ')}] are not declared; add these columns to \`filters\` of defineEntity('${this.name}', ...)`,
    );
  }
}

/** No row has a column that reads like several values: the list would never hear of one that enters it. */
function checkCondition(field: string, value: unknown): void {
  const prototype: unknown = typeof value === 'object' && value !== null ? Object.getPrototypeOf(value) : undefined;
  if (Array.isArray(value) || prototype === Object.prototype || prototype === null)
    fail(field, "a single value; tag a list of several, or of a range, with entityTags('Entity')", value);
}

/**
 * Declares by what lists of an entity are filtered and sorted. Give it to the module, too: `forRoot({ entities: [Course] })`; until then
 * every change takes every list.
 * @example
 * export const Course = defineEntity('Course', { filters: [[], ['category'], ['category', 'level']], order: ['title'] });
 * cache.getOrSet(['courses', category, page], load, { tags: (rows) => Course.listTags({ ids: rows.map((r) => r.id), where: { category } }) });
 * @throws CacheUsageError `invalid_entity`
 */
export function defineEntity(name: string, rule: EntityRule): EntityDefinition {
  return new EntityDefinition(name, rule);
}
