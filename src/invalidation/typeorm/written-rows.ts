import type { EntityMetadata, ObjectLiteral } from 'typeorm';
import type { EntityChange, EntityId, EntityRow } from '../entity-change.js';
import type { AnnouncedWrites } from './announcements.js';
import { idOf, rowOf } from './entity-rows.js';
import type { LockedRows } from './locked-rows.js';
import { plainIds } from './plain-ids.js';
import { isLink, type RelatedEntities } from './related-entities.js';

/** Statements that take rows away, which the database may pass on to other tables. */
const DELETES = /\b(?:delete|truncate|drop)\b/i;

type RowChange =
  | { readonly kind: 'insert'; readonly id: EntityId; readonly after: EntityRow }
  | { readonly kind: 'update'; readonly id: EntityId; readonly before?: EntityRow; readonly after?: EntityRow }
  | { readonly kind: 'delete'; readonly id: EntityId; readonly before?: EntityRow };

/** What TypeORM tells of a row. The query builder has not read it, so that `databaseEntity` is undefined in spite of the types. */
export interface RowEvent {
  readonly metadata: EntityMetadata;
  readonly entity?: ObjectLiteral | undefined;
  readonly databaseEntity?: ObjectLiteral | undefined;
  /** The key alone; an object if it has several columns. */
  readonly entityId?: ObjectLiteral | undefined;
}

/** Makes changes of entities of what TypeORM reports of written rows. Where a report says too little, its statement is asked. */
export class WrittenRows {
  constructor(
    private readonly related: RelatedEntities,
    private readonly isWatched: (name: string) => boolean,
    private readonly locked: LockedRows,
  ) {}

  /** Under which entries may show its rows; none if it is not heard. */
  namesOf(metadata: EntityMetadata): string[] {
    return this.related.namesOf(metadata).filter(this.isWatched);
  }

  inserted({ metadata, entity, entityId }: RowEvent, writes?: AnnouncedWrites): EntityChange[] {
    if (isLink(metadata)) return this.linked(metadata, entity ?? entityId);
    const id = idOf(metadata, entity);
    if (id === undefined || entity === undefined) return this.table(metadata);
    if (writes?.mayHaveUpdated) return this.row(metadata, { kind: 'update', id });
    return this.row(metadata, { kind: 'insert', id, after: rowOf(metadata, entity) });
  }

  updated({ metadata, entity, databaseEntity }: RowEvent, writes?: AnnouncedWrites): EntityChange[] {
    const id = idOf(metadata, databaseEntity);
    if (id === undefined) return this.byStatement(metadata, 'update', writes);
    const before = this.locked.find(databaseEntity);
    const known = before && { before, ...(entity && { after: rowOf(metadata, entity, before) }) };
    return this.row(metadata, { kind: 'update', id, ...known });
  }

  removed(event: RowEvent, writes?: AnnouncedWrites): EntityChange[] {
    return [...this.softRemoved(event, writes), ...this.cascaded(event.metadata)];
  }

  /** The database takes no notice of it, and passes nothing on to other tables. */
  softRemoved({ metadata, databaseEntity, entityId }: RowEvent, writes?: AnnouncedWrites): EntityChange[] {
    if (isLink(metadata)) return this.linked(metadata, databaseEntity ?? entityId);
    const id = idOf(metadata, databaseEntity);
    if (id === undefined) return this.byStatement(metadata, 'delete', writes);
    const before = this.locked.find(databaseEntity);
    return this.row(metadata, { kind: 'delete', id, ...(before && { before }) });
  }

  /** A row that is back is new to every list. */
  recovered({ metadata, databaseEntity }: RowEvent, writes?: AnnouncedWrites): EntityChange[] {
    const id = idOf(metadata, databaseEntity);
    if (id === undefined) return this.byStatement(metadata, 'update', writes);
    const after = this.locked.find(databaseEntity);
    return this.row(metadata, after ? { kind: 'insert', id, after } : { kind: 'update', id });
  }

  /** By a statement of which nobody tells more than its text. */
  unannounced(metadata: EntityMetadata, statement: string): EntityChange[] {
    return [...this.table(metadata), ...(DELETES.test(statement) ? this.cascaded(metadata) : [])];
  }

  /** Any rows of it may have changed. */
  table(metadata: EntityMetadata): EntityChange[] {
    const shown = isLink(metadata) ? metadata.foreignKeys.map((key) => key.referencedEntityMetadata) : [metadata];
    return this.tables(shown.flatMap((one) => this.related.namesOf(one)));
  }

  private cascaded(metadata: EntityMetadata): EntityChange[] {
    return this.tables(this.related.cascadesOf(metadata));
  }

  /** Both ends of a row of a join table show something else now. */
  private linked(metadata: EntityMetadata, link: ObjectLiteral | undefined): EntityChange[] {
    if (link === undefined || metadata.isClosureJunction) return this.table(metadata);
    return metadata.foreignKeys.flatMap(({ referencedEntityMetadata: end, columns, referencedColumns }) => {
      const parts = columns.map(
        (column, i) => [referencedColumns[i]?.propertyPath as string, column.getEntityValue(link) as unknown] as const,
      );
      const id = idOf(end, Object.fromEntries(parts));
      return id === undefined ? this.table(end) : this.row(end, { kind: 'update', id });
    });
  }

  private byStatement(metadata: EntityMetadata, kind: 'update' | 'delete', writes?: AnnouncedWrites): EntityChange[] {
    const statements = writes?.take();
    if (statements === undefined) return this.table(metadata);
    return statements.flatMap(({ text, parameters }) => {
      const ids = plainIds(metadata, text, parameters);
      return ids === undefined ? this.table(metadata) : ids.flatMap((id) => this.row(metadata, { kind, id }));
    });
  }

  private row(metadata: EntityMetadata, change: RowChange): EntityChange[] {
    return this.namesOf(metadata).map((entity) => ({ entity, ...change }));
  }

  private tables(names: readonly string[]): EntityChange[] {
    return [...new Set(names)].filter(this.isWatched).map((entity) => ({ entity, kind: 'table' }));
  }
}
