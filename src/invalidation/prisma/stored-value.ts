import type { PrismaField } from './prisma.types.js';

/** Databases that compare texts by their bytes; elsewhere `'A'` may find `'a'`. */
const EXACT = /^(?:postgres|cockroach|sqlite)/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** What a column of UUIDs takes for one. */
const LIKE_UUID = /^\{?[0-9a-f]{4}(?:-?[0-9a-f]{4}){7}\}?$/i;

/**
 * Whether a value reads in the database as the caller has written it: not a UUID in capitals, not a text where the database may compare it
 * in another way, not a date or a decimal number, whose columns may keep less of it. The client does not know the types of columns, so a text that
 * could be a UUID counts as one.
 */
export function isAsStored(field: PrismaField | undefined, value: unknown, provider = ''): boolean {
  switch (field?.type) {
    case 'Int':
    case 'BigInt':
      return typeof value === 'bigint' || Number.isInteger(value);
    case 'Boolean':
      return typeof value === 'boolean';
    case 'String':
      return typeof value === 'string' && EXACT.test(provider) && (UUID.test(value) || !LIKE_UUID.test(value));
    default:
      return field?.kind === 'enum' && typeof value === 'string';
  }
}
