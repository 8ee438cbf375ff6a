import { ConfigurableModuleBuilder, Inject, Module } from '@nestjs/common';
import type { BeforeApplicationShutdown, OnApplicationBootstrap, OnModuleInit } from '@nestjs/common';
import { durationMs, type Duration } from '../../core/clock/duration.js';
import { fields, isBoolean, isFunction, isText } from '../../option-checks.js';
import type { SqlQuery } from '../../sql/sql-result.js';
import { TagInvalidations } from '../tag-invalidations.js';
import { OutboxRelay } from './outbox-relay.js';
import { checkOutboxTable, createOutboxTable, type OutboxTableOptions } from './outbox-table.js';
import type { NotifyListener } from './pg-listener.js';
import { isPeriod } from './period.check.js';

/** What `OutboxRelayModule.forRoot()` takes. */
export interface OutboxRelayOptions extends OutboxTableOptions {
  /** Sends one statement on any connection, and resolves to what the library returns: `(text, values) => pool.query(text, values)`. */
  query: SqlQuery;
  /** Makes the table if there is none. Default `false`: the boot is stopped then. */
  autoCreate?: boolean;
  /** How often the table is looked at, and so how soon what a process that died has left is sent. At most 1 day. Default `'500ms'`. */
  pollEvery?: Duration;
  /** Is woken by the commit of an `outboxInsert()`, see `pgListener()`. Default: the table is only polled. */
  listen?: NotifyListener;
  /**
   * How long the relay waits for the answer to a statement, which takes milliseconds; then it asks again. Default `'10s'`, and twice as long for each
   * that is still unanswered.
   */
  queryTimeout?: Duration;
}

const checkOptions = fields(
  {
    query: isFunction,
    table: isText,
    autoCreate: isBoolean,
    pollEvery: isPeriod,
    listen: isFunction,
    queryTimeout: isPeriod,
  },
  ['query'],
);

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } = new ConfigurableModuleBuilder<OutboxRelayOptions>()
  .setClassMethodName('forRoot')
  .build();

/**
 * Runs a relay in this process for an outbox that is written without TypeORM: by `pg`, Knex, a trigger, another service.
 * @example
 * OutboxRelayModule.forRootAsync({ inject: [Pool], useFactory: (pool: Pool) => ({ query: (text, values) => pool.query(text, values) }) })
 */
@Module({})
export class OutboxRelayModule
  extends ConfigurableModuleClass
  implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown
{
  private readonly relay: OutboxRelay;

  /** @throws CacheUsageError `invalid_option`, `unknown_option`, `invalid_duration` */
  constructor(
    @Inject(MODULE_OPTIONS_TOKEN) private readonly options: OutboxRelayOptions,
    @Inject(TagInvalidations) invalidations: TagInvalidations,
  ) {
    super();
    checkOptions(options, 'outbox');
    const { query, table, pollEvery, listen, queryTimeout } = options;
    const pollMs = pollEvery === undefined ? undefined : durationMs(pollEvery, 'pollEvery');
    const queryTimeoutMs = queryTimeout === undefined ? undefined : durationMs(queryTimeout, 'queryTimeout');
    this.relay = new OutboxRelay(query, (tags) => invalidations.send(tags), {
      table,
      pollMs,
      listen,
      queryTimeoutMs,
    });
  }

  /** @throws CacheUsageError `outbox_table_missing` */
  async onModuleInit(): Promise<void> {
    const { query, table, autoCreate = false } = this.options;
    await (autoCreate ? createOutboxTable : checkOutboxTable)(query, table);
  }

  onApplicationBootstrap(): void {
    this.relay.start();
  }

  /** While the database can still be reached. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.relay.stop();
  }
}
