import { askSql, type SqlQuery } from '../../sql/sql-result.js';
import { renderSql, sql, type SqlFragment } from '../../sql/sql-statement.js';
import { outboxName } from './outbox-table.js';

/** Until the next try of a row that was taken and not removed: it is the lease of who took it, too. */
const FIRST_RETRY_MS = 500;
/** Relays may die with a row in their hands, or be slow with it; so often that it is more likely the row's fault: from then on the wait doubles. */
const PATIENCE = 10;
const LAST_RETRY_MS = 60_000;

/** An invalidation to be sent. */
export interface OutboxRow {
  readonly id: string;
  /** As found in the table; not necessarily a list of tags. */
  readonly tags: unknown;
  /** This one included. */
  readonly attempts: number;
}

/** The outbox as relays use it. Every step is one statement: nobody holds a lock while the store is waited for. */
export class OutboxRows {
  private readonly name: SqlFragment;

  /** @throws CacheUsageError `invalid_option` */
  constructor(
    private readonly query: SqlQuery,
    table: string,
  ) {
    this.name = outboxName(table);
  }

  /**
   * Takes rows that are due and that nobody else is taking. Taking is what schedules the next try: a relay that dies has nothing to give
   * back, and a row that nobody can publish is asked for ever more rarely.
   */
  async take(limit: number): Promise<OutboxRow[]> {
    const due = sql`SELECT id FROM ${this.name} WHERE due <= clock_timestamp() ORDER BY due LIMIT ${limit} FOR UPDATE SKIP LOCKED`;
    const wait = sql`least(${LAST_RETRY_MS}, ${FIRST_RETRY_MS} * 2 ^ least(16, greatest(0, attempts - ${PATIENCE}))) * interval '1 millisecond'`;
    const statement = sql`UPDATE ${this.name} SET attempts = attempts + 1, due = clock_timestamp() + ${wait}
      WHERE id = ANY(ARRAY(${due})) RETURNING id::text AS id, tags, attempts`;
    return (await askSql<OutboxRow>(this.query, renderSql(statement, {}), 'rows')).rows;
  }

  /** They are published. */
  async remove(ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await this.send(sql`DELETE FROM ${this.name} WHERE ${among(ids)}`);
  }

  /** It was not for these rows that they could not be published: they are due again at once, and the try does not count. */
  async giveBack(ids: readonly string[]): Promise<void> {
    const set = sql`due = clock_timestamp(), attempts = greatest(0, attempts - 1)`;
    if (ids.length > 0) await this.send(sql`UPDATE ${this.name} SET ${set} WHERE ${among(ids)}`);
  }

  private async send(statement: SqlFragment): Promise<void> {
    const { text, values } = renderSql(statement, {});
    await this.query(text, values);
  }
}

/** As text, since libraries differ in what they make of a list. */
function among(ids: readonly string[]): SqlFragment {
  return sql`id IN (SELECT value::bigint FROM jsonb_array_elements_text(${JSON.stringify(ids)}::jsonb))`;
}
