import { Inject, Module } from '@nestjs/common';
import type {
  BeforeApplicationShutdown,
  DynamicModule,
  OnApplicationBootstrap,
  OnApplicationShutdown,
} from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { fields, isAnything, isBoolean, isText, listOf } from '../../option-checks.js';
import { EntityInvalidationService } from '../entity-invalidation.service.js';
import { EntityRules } from '../entity-rules.js';
import { isPeriod } from '../outbox/period.check.js';
import { TagInvalidations } from '../tag-invalidations.js';
import { RunnerTransactions } from './runner-transactions.js';
import type { TypeOrmInvalidationOptions } from './typeorm-invalidation.options.js';
import { TypeOrmOutbox } from './typeorm-outbox.js';
import { TypeOrmSubscriber } from './typeorm.subscriber.js';

const checkOptions = fields({
  dataSource: isAnything,
  entities: listOf(isAnything),
  outbox: (value, field) => {
    if (typeof value !== 'boolean') checkOutbox(value, field);
  },
});

const checkOutbox = fields({
  table: isText,
  autoCreate: isBoolean,
  pollEvery: isPeriod,
  listen: isBoolean,
  queryTimeout: isPeriod,
});

const HEARING = Symbol('TYPEORM_INVALIDATION_HEARING');

/** What was attached to a DataSource. */
interface Hearing {
  readonly dataSource: DataSource;
  readonly subscriber: TypeOrmSubscriber;
  readonly outbox: TypeOrmOutbox | undefined;
}

/**
 * Invalidates what shows a row when TypeORM has written it, after the outermost commit. Import it once for each DataSource, beside
 * `TypeOrmModule.forRoot()`; a name of an entity is that of its class.
 * @example imports: [TieredCacheModule.forRoot({ ... }), TypeOrmModule.forRoot({ ... }), TypeOrmInvalidationModule.forRoot()]
 */
@Module({})
export class TypeOrmInvalidationModule
  implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown
{
  constructor(@Inject(HEARING) private readonly hearing: Hearing) {}

  /** @throws CacheUsageError `invalid_option`, `unknown_option` */
  static forRoot(options: TypeOrmInvalidationOptions = {}): DynamicModule {
    checkOptions(options, '');
    const inject = [options.dataSource ?? DataSource, EntityInvalidationService, EntityRules, TagInvalidations];
    return {
      module: TypeOrmInvalidationModule,
      // Not in a hook: what other modules write as they are initialised is heard.
      providers: [{ provide: HEARING, inject, useFactory: (...found: Injected) => hear(options, ...found) }],
    };
  }

  onApplicationBootstrap(): void {
    this.hearing.outbox?.start();
  }

  /** While the database can still be reached. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.hearing.outbox?.close();
  }

  /** A DataSource may outlive the application. */
  onApplicationShutdown(): void {
    const { subscribers } = this.hearing.dataSource;
    const place = subscribers.indexOf(this.hearing.subscriber);
    if (place >= 0) subscribers.splice(place, 1);
  }
}

type Injected = [
  dataSource: DataSource,
  entities: EntityInvalidationService,
  rules: EntityRules,
  tags: TagInvalidations,
];

/** @throws CacheUsageError `invalid_option`, `invalid_duration`, `outbox_table_missing` */
async function hear(
  { entities, outbox: wanted = false }: TypeOrmInvalidationOptions,
  ...[dataSource, invalidation, rules, tags]: Injected
): Promise<Hearing> {
  if (!dataSource.isInitialized)
    throw new CacheUsageError(
      'invalid_option',
      'the DataSource of TypeOrmInvalidationModule must be initialised when the application boots; leave `manualInitialization` out',
    );
  const outbox = wanted ? new TypeOrmOutbox(dataSource, wanted === true ? {} : wanted, rules, tags) : undefined;
  await outbox?.open();
  const watched = entities && new Set(entities.map((entity) => dataSource.getMetadata(entity).name));
  const transactions = new RunnerTransactions(invalidation, outbox);
  const subscriber = new TypeOrmSubscriber(
    dataSource,
    transactions,
    (name) => watched?.has(name) ?? true,
    (name) => rules.has(name),
  );
  dataSource.subscribers.push(subscriber);
  return { dataSource, subscriber, outbox };
}
