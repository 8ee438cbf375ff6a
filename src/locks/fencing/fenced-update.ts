import { CacheUsageError } from '../../core/errors/cache.error.js';
import { tokenOf, type FenceSource } from './fence-source.js';
import { FENCE_COLUMN } from './fence-tables.js';
import { askSql, type SqlQuery, type SqlResult } from '../../sql/sql-result.js';
import {
  joinSql,
  rawSql,
  renderSql,
  sql,
  SqlFragment,
  sqlName,
  type SqlOptions,
  type SqlStatement,
} from '../../sql/sql-statement.js';
import { StaleLeaseError } from './stale-lease.error.js';

/** An update of rows that carry the fence of their last writer. */
export interface FencedUpdate {
  /** As it is called in the database, with its schema if need be: `policy`, `app.policy`. */
  table: string;
  /** Values, or SQL: `` { spent: sql`spent + ${amount}` } ``. Without it the rows are only claimed: all earlier holders are shut out. */
  set?: Readonly<Record<string, unknown>>;
  /** Columns and what they must equal, `null` for NULL; or SQL. */
  where: Readonly<Record<string, unknown>> | SqlFragment;
  /** Default `fence`. See {@link fenceColumn}. */
  column?: string;
  /** Columns to give back. Not on MySQL. */
  returning?: readonly string[];
}

/**
 * Updates rows unless a later holder of the lock has been there, and leaves the fence there. Resolves to the rows; `count: 0` means that
 * no row is like `where`.
 *
 * A fence refuses who comes late only after the later holder has left its own: claim the row (no `set`) before you read what you decide by.
 * On MySQL the connection must count rows found, not rows changed (mysql2 does by default).
 * @param query sends one statement on the transaction's connection
 * @throws StaleLeaseError if a later holder was there: roll back
 * @throws CacheUsageError `invalid_option`, `invalid_query_result`
 * @example
 * const query = (text, values) => client.query(text, values);
 * const { rows } = await fencedUpdate(query, lease, { table: 'policy', where: { id }, returning: ['budget', 'spent'] });
 * await fencedUpdate(query, lease, { table: 'policy', set: { spent: sql`spent + ${amount}` }, where: { id } });
 */
export async function fencedUpdate<Row = Record<string, unknown>>(
  query: SqlQuery,
  lease: FenceSource,
  update: FencedUpdate,
  options: SqlOptions = {},
): Promise<SqlResult<Row>> {
  const wants = options.dialect === 'mysql' ? 'count' : 'either';
  const result = await askSql<Row>(query, fencedUpdateStatement(lease, update, options), wants);
  if (result.count > 0) return result;
  const { table, column, where } = partsOf(update, options);
  // On MySQL a plain read would show the rows as they were when the transaction began.
  const lock = rawSql(options.dialect === 'mysql' ? ' LOCK IN SHARE MODE' : '');
  const look = renderSql(
    sql`SELECT 1 AS refused FROM ${table} WHERE ${where} AND ${column} > ${tokenOf(lease)}${lock}`,
    options,
  );
  if ((await askSql(query, look, 'rows')).rows.length > 0) throw new StaleLeaseError(update.table, tokenOf(lease));
  return result;
}

/** {@link fencedUpdate} as text and values, for who sends it by other means. No row: refused, or there is none. @throws CacheUsageError `invalid_option` */
export function fencedUpdateStatement(
  lease: FenceSource,
  update: FencedUpdate,
  options: SqlOptions = {},
): SqlStatement {
  const { table, column, where, set, returning } = partsOf(update, options);
  const token = tokenOf(lease);
  const assignments = joinSql([...set, sql`${column} = ${token}`], ', ');
  return renderSql(
    sql`UPDATE ${table} SET ${assignments} WHERE ${where} AND ${column} <= ${token}${returning}`,
    options,
  );
}

function partsOf(update: FencedUpdate, options: SqlOptions) {
  const { table, column = FENCE_COLUMN, where, set = {}, returning = [] } = update;
  const name = (text: string, field: string): SqlFragment => sqlName(text, field, options);
  if (Object.hasOwn(set, column)) throw invalid(`set must not name the column of the fence, ${column}`);
  if (options.dialect === 'mysql' && returning.length > 0) throw invalid('returning cannot be had from MySQL');
  const columns = returning.map((text) => name(text, 'returning'));
  // Every library tells rows that are returned; not every one tells how many were touched.
  const back = sql` RETURNING ${columns.length > 0 ? joinSql(columns, ', ') : rawSql('1 AS updated')}`;
  return {
    table: name(table, 'table'),
    column: name(column, 'column'),
    where: where instanceof SqlFragment ? sql`(${where})` : conditions(where, name),
    set: Object.entries(set).map(([key, value]) => sql`${name(key, 'set')} = ${defined(value, `set.${key}`)}`),
    returning: options.dialect === 'mysql' ? rawSql('') : back,
  };
}

function conditions(where: FencedUpdate['where'], name: (text: string, field: string) => SqlFragment): SqlFragment {
  const entries = Object.entries(where ?? {});
  if (entries.length === 0) throw invalid('where must name a column: without it every row would be updated');
  const parts = entries.map(([key, value]) =>
    value === null
      ? sql`${name(key, 'where')} IS NULL`
      : sql`${name(key, 'where')} = ${defined(value, `where.${key}`)}`,
  );
  return joinSql(parts, ' AND ');
}

function defined(value: unknown, field: string): unknown {
  if (value === undefined) throw invalid(`${field} is undefined; leave it out, or give null if NULL is meant`);
  return value;
}

function invalid(message: string): CacheUsageError {
  return new CacheUsageError('invalid_option', message);
}
