import { CacheUsageError } from '../../core/errors/cache.error.js';
import { renderSql, sql, type SqlOptions, type SqlStatement } from '../../sql/sql-statement.js';
import type { EntityDefinition } from '../define-entity.js';
import type { EntityChange } from '../entity-change.js';
import { EntityRules } from '../entity-rules.js';
import { OUTBOX_TABLE, outboxName, type OutboxTableOptions } from './outbox-table.js';

/** How to write the row; see {@link outboxInsert}. */
export interface OutboxInsertOptions extends OutboxTableOptions, Pick<SqlOptions, 'placeholders'> {
  /** As given to `forRoot({ entities })`: no more lists go than their rules say. Default: every list of a changed entity. */
  entities?: readonly EntityDefinition[];
}

/**
 * The statement that puts the invalidation of these changes into the outbox. Send it in the transaction that makes the changes, as late as
 * you can: with the commit the relays are told, after a rollback it is as if it had never been sent.
 * @throws CacheUsageError `invalid_option` if there are no changes
 * @example
 * const { text, values } = outboxInsert([{ entity: 'Course', kind: 'update', id: 42 }]);
 * await client.query(text, values); // between BEGIN and COMMIT
 * await trx.raw(text, values); // Knex, with `placeholders: 'question'`
 */
export function outboxInsert(changes: readonly EntityChange[], options: OutboxInsertOptions = {}): SqlStatement {
  const tags = new EntityRules(options.entities).tagsOf(changes);
  if (tags.length === 0)
    throw new CacheUsageError(
      'invalid_option',
      'changes must have at least one in it; leave the statement out if nothing has changed',
    );
  const { table = OUTBOX_TABLE } = options;
  const written = sql`INSERT INTO ${outboxName(table)} (tags) VALUES (${JSON.stringify(tags)}::jsonb) RETURNING id`;
  return renderSql(sql`WITH written AS (${written}) SELECT id, pg_notify(${table}, '') FROM written`, options);
}

/** A row whose writer will publish it himself: relays take it only if he has not removed it after `delayMs`. */
export function delayedInsert(tags: readonly string[], table: string, delayMs: number): SqlStatement {
  const due = sql`clock_timestamp() + ${delayMs} * interval '1 millisecond'`;
  return renderSql(
    sql`INSERT INTO ${outboxName(table)} (tags, due) VALUES (${JSON.stringify(tags)}::jsonb, ${due}) RETURNING id`,
    {},
  );
}
