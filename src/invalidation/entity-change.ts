/** What identifies a row: a single column, or the columns of a composite key. */
export type EntityId = string | number | bigint | Readonly<Record<string, unknown>>;

/** The columns of a row by property name; those that are not known are left out. */
export type EntityRow = Readonly<Record<string, unknown>>;

/**
 * What an ORM, an event or a webhook tells of a committed change. Saying too little is always safe: what is left out is taken to be
 * anything. A row whose id is not known is a change of the whole table.
 */
export type EntityChange =
  | { readonly entity: string; readonly kind: 'insert'; readonly id: EntityId; readonly after?: EntityRow }
  | {
      readonly entity: string;
      readonly kind: 'update';
      readonly id: EntityId;
      readonly before?: EntityRow;
      readonly after?: EntityRow;
    }
  | { readonly entity: string; readonly kind: 'delete'; readonly id: EntityId; readonly before?: EntityRow }
  /** Any rows may have changed: a bulk statement, raw SQL, a truncation, an import. */
  | { readonly entity: string; readonly kind: 'table' };

/** A change of which no more is known than the row, or not even that. */
export function changeOf(entity: string, id: EntityId | undefined): EntityChange {
  return isRowId(id) ? { entity, kind: 'update', id } : { entity, kind: 'table' };
}

/** Whether it tells a row. One that is missing, in whole or in part, is that of a row nobody knows. */
export function isRowId(id: unknown): id is EntityId {
  if (id === undefined || id === null || id === '' || Number.isNaN(id)) return false;
  if (id instanceof Date) return !Number.isNaN(id.getTime());
  if (typeof id !== 'object') return true;
  const parts = Object.values(id);
  return parts.length > 0 && parts.every((part) => part !== undefined && part !== null && !Number.isNaN(part));
}
