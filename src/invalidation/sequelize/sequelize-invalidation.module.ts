import { Inject, Module } from '@nestjs/common';
import type { DynamicModule, InjectionToken, OnApplicationShutdown } from '@nestjs/common';
import { EntityInvalidationService } from '../entity-invalidation.service.js';
import { invalidateFromSequelize } from './invalidate-from-sequelize.js';

const STOP = Symbol('SEQUELIZE_INVALIDATION_STOP');

/** What `SequelizeInvalidationModule.forRoot()` takes. */
export interface SequelizeInvalidationOptions {
  /** The token of the Sequelize: with @nestjs/sequelize, the class `Sequelize` of sequelize-typescript, or `getConnectionToken('reports')`. */
  sequelize: InjectionToken;
}

/**
 * Invalidates what shows a row when Sequelize has written it, after the outermost commit. Import it once for each Sequelize; a name of an
 * entity is that of its model.
 * @example imports: [TieredCacheModule.forRoot(), SequelizeModule.forRoot({ ... }), SequelizeInvalidationModule.forRoot({ sequelize: Sequelize })]
 */
@Module({})
export class SequelizeInvalidationModule implements OnApplicationShutdown {
  constructor(@Inject(STOP) private readonly stop: () => void) {}

  static forRoot({ sequelize }: SequelizeInvalidationOptions): DynamicModule {
    const inject = [sequelize, EntityInvalidationService];
    return {
      module: SequelizeInvalidationModule,
      providers: [{ provide: STOP, inject, useFactory: invalidateFromSequelize }],
    };
  }

  /** A Sequelize may outlive the application. */
  onApplicationShutdown(): void {
    this.stop();
  }
}
