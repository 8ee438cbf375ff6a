import { CacheUsageError } from '../core/errors/cache.error.js';
import { isRowId, type EntityId, type EntityRow } from './entity-change.js';

/**
 * The tags of an entry that shows one row: it goes when that row changes, or when nobody knows which rows have changed.
 * `entityTags('Course')`, without an id, is for what depends on any row (a list, a count): it goes with every change of a course. For
 * lists that go only when they must, see `defineEntity`.
 * @example @Cached({ ttl: '1h', tags: (course) => entityTags('Course', course.id) })
 * @throws CacheUsageError `invalid_entity`
 */
export function entityTags(entity: string, id?: EntityId): string[] {
  return isRowId(id) ? [row(entity, id), table(entity)] : [anyRow(entity)];
}

/** Changes with every change of a row. The coarse tag, for entries that depend on any row. */
export function anyRow(entity: string): string {
  return checkName(entity);
}

/** Changes when it is not known which rows have changed. */
export function table(entity: string): string {
  return `${checkName(entity)}/table`;
}

/** Changes with that row. An id that arrives as a number here and as text there is the same row. */
export function row(entity: string, id: EntityId): string {
  return `${checkName(entity)}:${idText(id)}`;
}

/** Changes when it is not known which lists a row has entered, left or moved in. */
export function lists(entity: string): string {
  return `${checkName(entity)}/lists`;
}

/** Changes when a row enters, leaves or moves within the lists of this filter. Values that read alike are alike: that invalidates more. */
export function listsWhere(entity: string, where: EntityRow): string {
  const conditions = Object.keys(where)
    .sort()
    .map((column) => `${encodeURIComponent(column)}=${encodeURIComponent(valueText(where[column]))}`);
  return `${checkName(entity)}?${conditions.join('&')}`;
}

function checkName(entity: string): string {
  if (typeof entity === 'string' && /^[^\s:/?#]+$/.test(entity)) return entity;
  const found = typeof entity === 'string' ? `"${entity}"` : `a ${typeof entity}`;
  throw new CacheUsageError(
    'invalid_entity',
    `entity must be a name without white space and the characters : / ? #; got ${found}`,
  );
}

function idText(id: EntityId): string {
  if (typeof id !== 'object' || id instanceof Date) return valueText(id);
  return Object.keys(id)
    .sort()
    .map((column) => `${encodeURIComponent(column)}=${encodeURIComponent(valueText(id[column]))}`)
    .join('&');
}

function valueText(value: unknown): string {
  return value instanceof Date ? value.toISOString() : String(value);
}
