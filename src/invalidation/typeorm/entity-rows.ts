import type { EntityMetadata, ObjectLiteral } from 'typeorm';
import type { EntityId, EntityRow } from '../entity-change.js';
import { isAsStored } from './stored-value.js';

/**
 * The columns that an entity object tells, by the paths of their properties (`title`, `address.city`; `teacher` for the column of that
 * relation). What the database is to compute, or may keep otherwise, is not known, and left out.
 * @param before the row as it was, if the object is an update of it: what it does not tell has stayed
 */
export function rowOf(metadata: EntityMetadata, entity: ObjectLiteral, before: EntityRow = {}): EntityRow {
  const row: Record<string, unknown> = { ...before };
  for (const column of metadata.columns) {
    const value: unknown = column.getEntityValue(entity);
    if (value === undefined) continue;
    if (typeof value !== 'function' && isAsStored(column, value)) row[column.propertyPath] = value;
    else delete row[column.propertyPath];
  }
  return row;
}

/** `undefined` if a part of the key is not known. */
export function idOf(metadata: EntityMetadata, entity: ObjectLiteral | undefined): EntityId | undefined {
  if (entity === undefined) return undefined;
  const parts = metadata.primaryColumns.map((column) => [column.propertyPath, column.getEntityValue(entity)] as const);
  if (parts.length === 0 || parts.some(([, value]) => value === undefined || value === null)) return undefined;
  return parts.length === 1 ? (parts[0]?.[1] as EntityId) : Object.fromEntries(parts);
}
