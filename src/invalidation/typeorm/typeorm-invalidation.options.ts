import type { InjectionToken } from '@nestjs/common';
import type { EntityTarget, ObjectLiteral } from 'typeorm';

/** What `TypeOrmInvalidationModule.forRoot()` takes. */
export interface TypeOrmInvalidationOptions {
  /** Of the DataSource whose writes are heard. Default: the default one; for another `getDataSourceToken('reports')` of `@nestjs/typeorm`. */
  dataSource?: InjectionToken;

  /** The entities that are cached: writes to others cost nothing then. Default: all. */
  entities?: readonly EntityTarget<ObjectLiteral>[];
}
