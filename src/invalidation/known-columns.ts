import type { EntityRow } from './entity-change.js';

/**
 * The columns of a row whose values are plain: texts, numbers, booleans, dates, null. What an ORM holds in place of others (SQL
 * expressions, decimals, documents) does not read as what a list was filtered by, so those columns count as not known.
 */
export function knownColumns(row: EntityRow): EntityRow {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => isPlain(value)));
}

function isPlain(value: unknown): boolean {
  if (value === null || value instanceof Date) return true;
  return value !== undefined && !['object', 'function', 'symbol'].includes(typeof value);
}
