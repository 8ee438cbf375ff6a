import { Inject, Module } from '@nestjs/common';
import type { DynamicModule, OnApplicationShutdown } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { EntityInvalidationService } from '../entity-invalidation.service.js';
import { RunnerTransactions } from './runner-transactions.js';
import type { TypeOrmInvalidationOptions } from './typeorm-invalidation.options.js';
import { TypeOrmSubscriber } from './typeorm.subscriber.js';

const SOURCE = Symbol('TYPEORM_INVALIDATION_SOURCE');
const OPTIONS = Symbol('TYPEORM_INVALIDATION_OPTIONS');

/**
 * Invalidates what shows a row when TypeORM has written it, after the outermost commit. Import it once for each DataSource, beside
 * `TypeOrmModule.forRoot()`; a name of an entity is that of its class.
 * @example imports: [TieredCacheModule.forRoot({ ... }), TypeOrmModule.forRoot({ ... }), TypeOrmInvalidationModule.forRoot()]
 */
@Module({})
export class TypeOrmInvalidationModule implements OnApplicationShutdown {
  private readonly subscriber: TypeOrmSubscriber;

  /** Here and not in a hook: what other modules write as they are initialised is heard. @throws CacheUsageError `invalid_option` */
  constructor(
    @Inject(SOURCE) private readonly dataSource: DataSource,
    @Inject(OPTIONS) { entities }: TypeOrmInvalidationOptions,
    @Inject(EntityInvalidationService) invalidation: EntityInvalidationService,
  ) {
    if (!dataSource.isInitialized)
      throw new CacheUsageError(
        'invalid_option',
        'the DataSource of TypeOrmInvalidationModule must be initialised when the application boots; leave `manualInitialization` out',
      );
    const watched = entities && new Set(entities.map((entity) => dataSource.getMetadata(entity).name));
    const isWatched = (name: string): boolean => watched?.has(name) ?? true;
    this.subscriber = new TypeOrmSubscriber(dataSource, new RunnerTransactions(invalidation), isWatched);
    dataSource.subscribers.push(this.subscriber);
  }

  static forRoot(options: TypeOrmInvalidationOptions = {}): DynamicModule {
    return {
      module: TypeOrmInvalidationModule,
      providers: [
        { provide: OPTIONS, useValue: options },
        { provide: SOURCE, useExisting: options.dataSource ?? DataSource },
      ],
    };
  }

  /** A DataSource may outlive the application. */
  onApplicationShutdown(): void {
    const { subscribers } = this.dataSource;
    if (subscribers.includes(this.subscriber)) subscribers.splice(subscribers.indexOf(this.subscriber), 1);
  }
}
