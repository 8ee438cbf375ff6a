import type { EntityMetadata } from 'typeorm';

type ColumnMetadata = EntityMetadata['columns'][number];

const INTEGER = /^(?:(?:tiny|small|medium|big|unsigned big )?int(?:eger)?\d*|(?:small|big)?serial\d*)$/;
const TEXT = /^(?:text|n?varchar2?|character varying|string|enum|simple-enum)$/;
const BOOLEAN = /^bool(?:ean)?$/;
const MOMENT = /^(?:timestamp|datetime)/;
/** Databases that compare texts by their bytes; elsewhere `'A'` may find `'a'`. */
const EXACT = /postgres|cockroach|sqlite|sqljs|sql\.js/;

/**
 * Whether a value reads in the database as it does here: not `'042'` in a column of numbers, not a UUID in capitals, not a value that a
 * transformer changes, not a `Date` in a column of days, not a decimal number (`10` is kept as `10.00`). If not, nobody knows here which
 * rows, or lists, it stands for.
 */
export function isAsStored(column: ColumnMetadata, value: unknown): boolean {
  if (value === null) return true;
  if (column.transformer !== undefined) return false;
  const { driver } = column.entityMetadata.connection;
  const type = driver.normalizeType(column);
  if (INTEGER.test(type)) return isInteger(value);
  if (type === 'uuid') return typeof value === 'string' && /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value);
  if (TEXT.test(type)) return typeof value === 'string' && EXACT.test(driver.options.type);
  if (BOOLEAN.test(type)) return typeof value === 'boolean';
  return MOMENT.test(type) && value instanceof Date;
}

function isInteger(value: unknown): boolean {
  if (typeof value === 'string') return /^(?:0|-?[1-9]\d*)$/.test(value);
  return typeof value === 'bigint' || Number.isInteger(value);
}
