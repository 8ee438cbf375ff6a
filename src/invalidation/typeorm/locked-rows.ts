import type { EntityMetadata, ObjectLiteral, QueryRunner } from 'typeorm';
import type { EntityRow } from '../entity-change.js';
import { idOf, rowOf } from './entity-rows.js';

/** How each database locks a row against writers; of others it is not known how a row was before it is written. */
const LOCKS = {
  postgres: 'for_no_key_update',
  cockroachdb: 'for_no_key_update',
  mysql: 'pessimistic_write',
  mariadb: 'pessimistic_write',
} as const;

/**
 * Rows as they are when they are written. What TypeORM has read before may be older: somebody else may have moved the row to another list
 * since, and that list would not be told that the row has left it. So the row is read again, and locked as the write would lock it anyway.
 */
export class LockedRows {
  private readonly rows = new WeakMap<ObjectLiteral, EntityRow>();

  /** @param databaseEntity what TypeORM has read; the row is known by it then */
  async lock(runner: QueryRunner, metadata: EntityMetadata, databaseEntity: ObjectLiteral): Promise<void> {
    const mode = LOCKS[runner.dataSource.options.type as keyof typeof LOCKS];
    if (mode === undefined || idOf(metadata, databaseEntity) === undefined) return;
    const relations = metadata.relations.filter(({ isOwning, isManyToMany }) => isOwning && !isManyToMany);
    const found = await runner.manager
      .createQueryBuilder<ObjectLiteral>(metadata.target, 'locked')
      .setFindOptions({
        where: metadata.getEntityIdMap(databaseEntity) as ObjectLiteral,
        withDeleted: true,
        loadEagerRelations: false,
        loadRelationIds: { relations: relations.map(({ propertyPath }) => propertyPath), disableMixedMap: true },
      })
      .setLock(mode)
      .callListeners(false)
      .getOne();
    if (found !== null) this.rows.set(databaseEntity, rowOf(metadata, found));
  }

  /** `undefined` if it was not locked: nobody knows how it was. */
  find(databaseEntity: ObjectLiteral | undefined): EntityRow | undefined {
    return databaseEntity && this.rows.get(databaseEntity);
  }
}
