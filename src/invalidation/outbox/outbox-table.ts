import { CacheUsageError } from '../../core/errors/cache.error.js';
import { askSql, type SqlQuery } from '../../sql/sql-result.js';
import { rawSql, renderSql, sql, sqlName, type SqlFragment } from '../../sql/sql-statement.js';

/** Name of the table unless told otherwise. */
export const OUTBOX_TABLE = 'tc_outbox';

/** PostgreSQL cuts names at 63 bytes: that of the index is longer by four, and that of the channel has the schema in it. */
const LONGEST = 59;

/** Quoted. @throws CacheUsageError `invalid_option` */
export function outboxName(table: string): SqlFragment {
  const name = sqlName(table, 'table', {});
  if (table.length <= LONGEST) return name;
  throw new CacheUsageError('invalid_option', `table must be a name of at most ${LONGEST} characters, with its schema`);
}

/** Where the invalidations to be sent are kept. PostgreSQL. */
export interface OutboxTableOptions {
  /** With its schema if need be: `app.tc_outbox`. Default `tc_outbox`. */
  table?: string;
}

/**
 * DDL of the table, for a migration: two statements. A row is a list of tags to invalidate and the time, by the clock of the database, from
 * which a relay takes it.
 * @throws CacheUsageError `invalid_option`
 * @example await queryRunner.query(outboxTableSql());
 */
export function outboxTableSql({ table = OUTBOX_TABLE }: OutboxTableOptions = {}): string {
  const name = outboxName(table);
  const index = sqlName(`${table.split('.').at(-1)}_due`, 'table', {});
  return renderSql(
    sql`CREATE TABLE IF NOT EXISTS ${name} (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tags jsonb NOT NULL,
  due timestamptz NOT NULL DEFAULT clock_timestamp(),
  attempts integer NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS ${index} ON ${name} (due)`,
    {},
  ).text;
}

/** @throws CacheUsageError `outbox_table_missing` */
export async function checkOutboxTable(query: SqlQuery, table = OUTBOX_TABLE): Promise<void> {
  if (await hasOutboxTable(query, table)) return;
  throw new CacheUsageError(
    'outbox_table_missing',
    `the outbox needs the table ${table}: put outboxTableSql() into a migration, or set \`autoCreate: true\``,
  );
}

/** Several processes may start at once: who comes second is content with the table of the first. */
export async function createOutboxTable(query: SqlQuery, table = OUTBOX_TABLE): Promise<void> {
  if (await hasOutboxTable(query, table)) return;
  try {
    for (const statement of outboxTableSql({ table }).split(';')) await query(statement, []);
  } catch (error) {
    if (!(await hasOutboxTable(query, table))) throw error;
  }
}

async function hasOutboxTable(query: SqlQuery, table: string): Promise<boolean> {
  const quoted = outboxName(table).strings.join('');
  const look = renderSql(sql`SELECT to_regclass(${quoted})${rawSql('::text')} AS found`, {});
  const { rows } = await askSql<{ found: string | null }>(query, look, 'rows');
  return typeof rows[0]?.found === 'string';
}
