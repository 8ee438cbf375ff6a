import { CacheUsageError } from '../../core/errors/cache.error.js';

/**
 * Sends one statement on the caller's connection (of the transaction, if there is one) and resolves to what the library returns.
 * @example
 * (text, values) => client.query(text, values) // pg, mysql2
 * (text, values) => manager.query(text, values) // TypeORM
 * (text, values) => tx.$queryRawUnsafe(text, ...values) // Prisma on Postgres and SQLite; $executeRawUnsafe on MySQL
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

/** @throws CacheUsageError `invalid_query_result` for what tells nothing: taken for a success, it would let everybody write */
export async function askSql<Row>(query: SqlQuery, text: string, values: unknown[]): Promise<SqlResult<Row>> {
  const result = readSqlResult(await query(text, values));
  if (result) return result as SqlResult<Row>;
  throw new CacheUsageError(
    'invalid_query_result',
    'query() must resolve to what the library returned for the statement: rows, or a count of affected rows',
  );
}

function readSqlResult(result: unknown): SqlResult<unknown> | undefined {
  if (typeof result === 'number' || typeof result === 'bigint') return { rows: [], count: Number(result) };
  if (Array.isArray(result)) {
    const [first, second] = result as unknown[];
    // [rows, count] of TypeORM, [rows, fields] and [header, fields] of mysql2; else the rows themselves.
    if (Array.isArray(first)) return { rows: first, count: typeof second === 'number' ? second : first.length };
    const isHeader = result.length === 2 && (second === undefined || Array.isArray(second));
    return (isHeader ? affected(first) : undefined) ?? { rows: result, count: result.length };
  }
  if (typeof result !== 'object' || result === null) return undefined;
  const { rows } = result as { rows?: unknown };
  // An UPDATE without RETURNING has no rows, but has touched some.
  if (Array.isArray(rows)) return { rows, count: affected(result)?.count ?? rows.length };
  return affected(result);
}

function affected(result: unknown): SqlResult<unknown> | undefined {
  if (typeof result !== 'object' || result === null) return undefined;
  for (const name of ['rowCount', 'affectedRows', 'changes']) {
    const count = (result as Record<string, unknown>)[name];
    if (typeof count === 'number' || typeof count === 'bigint') return { rows: [], count: Number(count) };
  }
  return undefined;
}
