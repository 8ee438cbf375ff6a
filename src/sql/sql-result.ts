import { CacheUsageError } from '../core/errors/cache.error.js';
import type { SqlStatement } from './sql-statement.js';

/**
 * Sends one statement on the caller's connection (of the transaction, if there is one) and resolves to what the library returns.
 * @example
 * (text, values) => client.query(text, values) // pg, mysql2
 * (text, values) => manager.query(text, values) // TypeORM
 * (text, values) => tx.$queryRawUnsafe(text, ...values) // Prisma; on MySQL for claimFence only: it tells no count there
 * (text, values) => trx.raw(text, values) // Knex, with `placeholders: 'question'`
 * (text, values) => db.prepare(text).all(...values) // better-sqlite3, node:sqlite
 */
export type SqlQuery = (text: string, values: unknown[]) => unknown;

/** What a statement gave, whichever library was asked. */
export interface SqlResult<Row = Record<string, unknown>> {
  readonly rows: Row[];
  /** Rows returned or, of a statement that returns none, affected. */
  readonly count: number;
}

/**
 * @param wants what the statement tells by: the rows it returns, or on MySQL a count. A bare number is not taken for a row: for an INSERT
 * some libraries give the id of whatever was inserted last.
 * @throws CacheUsageError `invalid_query_result` for what does not tell: taken for a success, it would let everybody write
 */
export async function askSql<Row>(
  query: SqlQuery,
  { text, values }: SqlStatement,
  wants: 'rows' | 'count' | 'either',
): Promise<SqlResult<Row>> {
  const result = await query(text, values);
  const found = readRows(result) ?? affected(result) ?? affected(Array.isArray(result) ? result[0] : undefined);
  const isTold =
    found && (wants === 'rows' ? found.rows : wants === 'either' || !Array.isArray(result) || result.length > 0);
  if (isTold) return { rows: (found.rows ?? []) as Row[], count: found.count };
  throw new CacheUsageError(
    'invalid_query_result',
    `query() must resolve to what the library returned for the statement, ${wants === 'rows' ? 'with its rows' : 'with a count of affected rows'}`,
  );
}

interface Told {
  readonly rows?: unknown[];
  readonly count: number;
}

function readRows(result: unknown): Told | undefined {
  if (!Array.isArray(result)) {
    const { rows, rowCount } = (result ?? {}) as { rows?: unknown; rowCount?: unknown };
    // An UPDATE without RETURNING has no rows, but has touched some.
    return Array.isArray(rows) ? { rows, count: typeof rowCount === 'number' ? rowCount : rows.length } : undefined;
  }
  const [first, second] = result as unknown[];
  // [rows, count] of TypeORM, [rows, fields] and [header, fields] of mysql2; else the rows themselves.
  if (Array.isArray(first)) return { rows: first, count: typeof second === 'number' ? second : first.length };
  const isHeader = result.length === 2 && (second === undefined || Array.isArray(second));
  return isHeader && affected(first) ? undefined : { rows: result, count: result.length };
}

function affected(result: unknown): Told | undefined {
  if (typeof result === 'number' || typeof result === 'bigint') return { count: Number(result) };
  if (typeof result !== 'object' || result === null) return undefined;
  for (const name of ['rowCount', 'affectedRows', 'changes']) {
    const count = (result as Record<string, unknown>)[name];
    if (typeof count === 'number' || typeof count === 'bigint') return { count: Number(count) };
  }
  return undefined;
}
