import type { EntityRow } from '../entity-change.js';
import { knownColumns } from '../known-columns.js';
import type { SequelizeColumn, SequelizeModel } from './sequelize.types.js';

const INTEGER = /^(?:TINY|SMALL|MEDIUM|BIG)?INT(?:EGER)?$/;
const TEXT = /^(?:STRING|TEXT|ENUM)$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Databases that compare texts by their bytes, and keep milliseconds; elsewhere `'A'` may find `'a'`. */
const EXACT = /^(?:postgres|sqlite)$/;

/**
 * The columns whose values read in the database as they do here: not `'042'` in a column of numbers, not a UUID in capitals, not a decimal
 * number (`10` is kept as `10.00`). Of the others nobody knows here which rows, or lists, they stand for. What setters make of a value is
 * in the row already.
 */
export function storedColumns({ rawAttributes, sequelize }: SequelizeModel, row: EntityRow): EntityRow {
  const isExact = EXACT.test(sequelize?.getDialect() ?? '');
  const known = Object.entries(knownColumns(row));
  return Object.fromEntries(known.filter(([column, value]) => isAsStored(rawAttributes[column], value, isExact)));
}

function isAsStored(column: SequelizeColumn | undefined, value: unknown, isExact: boolean): boolean {
  if (column === undefined) return false;
  if (value === null) return true;
  const { key = '', options } = typeof column.type === 'object' ? column.type : {};
  if (INTEGER.test(key)) return isInteger(value);
  if (TEXT.test(key)) return typeof value === 'string' && isExact && options?.binary !== true;
  if (key === 'UUID') return typeof value === 'string' && UUID.test(value);
  if (key === 'BOOLEAN') return typeof value === 'boolean';
  if (key === 'DATEONLY') return typeof value === 'string' && /^\d{4}-\d\d-\d\d$/.test(value);
  return key === 'DATE' && value instanceof Date && (isExact || value.getMilliseconds() === 0);
}

function isInteger(value: unknown): boolean {
  if (typeof value === 'string') return /^(?:0|-?[1-9]\d*)$/.test(value);
  return typeof value === 'bigint' || Number.isInteger(value);
}
