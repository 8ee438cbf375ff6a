import type { DataSource, QueryRunner } from 'typeorm';
import { durationMs, type Duration } from '../../core/clock/duration.js';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { askSql, type SqlQuery } from '../../sql/sql-result.js';
import type { EntityChange } from '../entity-change.js';
import type { EntityRules } from '../entity-rules.js';
import { delayedInsert } from '../outbox/outbox-insert.js';
import { DEFAULT_QUERY_TIMEOUT_MS, OutboxRelay, STOP_MS } from '../outbox/outbox-relay.js';
import { OutboxRows } from '../outbox/outbox-rows.js';
import { checkOutboxTable, createOutboxTable, OUTBOX_TABLE, type OutboxTableOptions } from '../outbox/outbox-table.js';
import { Patience } from '../outbox/patience.js';
import { pgListener } from '../outbox/pg-listener.js';
import { settledWithin } from '../outbox/settled-within.js';
import type { TagInvalidations } from '../tag-invalidations.js';

/** Until relays take a row, its writer may publish it himself, which is faster. */
const WRITER_MS = 300;

/** The outbox of `TypeOrmInvalidationModule`. PostgreSQL. */
export interface TypeOrmOutboxOptions extends OutboxTableOptions {
  /** Makes the table if there is none. Default `false`: the boot is stopped then; its DDL is `outboxTableSql()`. */
  autoCreate?: boolean;
  /** How often this process looks for what others have left. At most 1 day. Default `'500ms'`. */
  pollEvery?: Duration;
  /** Keeps one connection of the pool to be woken by rows that others write with `outboxInsert()`. Default `false`. */
  listen?: boolean;
  /** How long rows are waited for that this process takes, or removes when they are published; then it asks again. Default `'10s'`. */
  queryTimeout?: Duration;
}

/** Keeps invalidations in the transaction that makes them necessary, until they are published: by who wrote them or, if that process dies, by a relay. */
export class TypeOrmOutbox {
  private readonly table: string;
  private readonly rows: OutboxRows;
  private readonly relay: OutboxRelay;
  private readonly query: SqlQuery = (text, values) => this.dataSource.query(text, values);
  private published: string[] = [];
  private removing: Promise<void> | undefined;

  /** @throws CacheUsageError `invalid_option`, `invalid_duration` */
  constructor(
    private readonly dataSource: DataSource,
    private readonly options: TypeOrmOutboxOptions,
    private readonly rules: EntityRules,
    private readonly tags: TagInvalidations,
  ) {
    const { type } = dataSource.options;
    if (type !== 'postgres')
      throw new CacheUsageError('invalid_option', `outbox needs a DataSource of PostgreSQL; got one of ${type}`);
    this.table = options.table ?? OUTBOX_TABLE;
    const { pollEvery, listen, queryTimeout } = options;
    const queryTimeoutMs =
      queryTimeout === undefined ? DEFAULT_QUERY_TIMEOUT_MS : durationMs(queryTimeout, 'outbox.queryTimeout');
    const patience = new Patience(queryTimeoutMs);
    this.rows = new OutboxRows((text, values) => patience.wait(() => this.query(text, values)), this.table);
    this.relay = new OutboxRelay(this.query, (tags) => this.send(tags), {
      table: this.table,
      pollMs: pollEvery === undefined ? undefined : durationMs(pollEvery, 'outbox.pollEvery'),
      listen: listen ? pgListener(() => this.connect()) : undefined,
      queryTimeoutMs,
    });
  }

  /** @throws CacheUsageError `outbox_table_missing` */
  async open(): Promise<void> {
    await (this.options.autoCreate ? createOutboxTable : checkOutboxTable)(this.query, this.table);
  }

  start(): void {
    this.relay.start();
  }

  /** Sent on the connection of the transaction; resolves to the id of the row. */
  write(runner: QueryRunner, changes: readonly EntityChange[]): Promise<string> {
    return this.insert((text, values) => runner.query(text, values), changes);
  }

  /** By who wrote them. Resolves to whether the store has acknowledged it, so that nothing is left to do for a relay. */
  publish(changes: readonly EntityChange[]): Promise<boolean> {
    return this.send(this.rules.tagsOf(changes)).then(
      () => true,
      () => false,
    );
  }

  /** What was written and could not be published has been committed already: all that can be done is to leave it to the relays. */
  async writeLate(changes: readonly EntityChange[]): Promise<void> {
    await this.insert(this.query, changes).catch(() => undefined);
  }

  /** Removed together with others, and nobody waits for it: were it forgotten, a relay would only publish it again. */
  remove(id: string): void {
    this.published.push(id);
    this.removing ??= this.removeAll();
  }

  async close(): Promise<void> {
    await Promise.all([this.relay.stop(), settledWithin(STOP_MS, Promise.resolve(this.removing))]);
  }

  private send(tags: readonly string[]): Promise<void> {
    return this.tags.send(tags);
  }

  private async insert(query: SqlQuery, changes: readonly EntityChange[]): Promise<string> {
    const tags = this.rules.tagsOf(changes);
    const { rows } = await askSql<{ id: string }>(query, delayedInsert(tags, this.table, WRITER_MS), 'rows');
    return String(rows[0]?.id);
  }

  private async removeAll(): Promise<void> {
    while (this.published.length > 0) await this.rows.remove(this.published.splice(0)).catch(() => undefined);
    this.removing = undefined;
  }

  private async connect() {
    const runner = this.dataSource.createQueryRunner();
    return { client: await runner.connect(), release: () => runner.release() };
  }
}
