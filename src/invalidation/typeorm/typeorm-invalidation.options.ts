import type { InjectionToken } from '@nestjs/common';
import type { EntityTarget, ObjectLiteral } from 'typeorm';
import type { TypeOrmOutboxOptions } from './typeorm-outbox.js';

/** What `TypeOrmInvalidationModule.forRoot()` takes. */
export interface TypeOrmInvalidationOptions {
  /** Of the DataSource whose writes are heard. Default: the default one; for another `getDataSourceToken('reports')` of `@nestjs/typeorm`. */
  dataSource?: InjectionToken;

  /** The entities that are cached: writes to others cost nothing then. Default: all. */
  entities?: readonly EntityTarget<ObjectLiteral>[];

  /**
   * Writes what is to be invalidated into the transaction itself, so that nothing is lost if the process dies after the commit; and runs a
   * relay that sends what others have left. PostgreSQL only; what is written outside a transaction has none to be written in. Default `false`.
   */
  outbox?: boolean | TypeOrmOutboxOptions;
}
