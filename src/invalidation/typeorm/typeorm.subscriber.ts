import type {
  AfterQueryEvent,
  BeforeQueryEvent,
  DataSource,
  EntitySubscriberInterface,
  InsertEvent,
  ObjectLiteral,
  QueryRunner,
  RecoverEvent,
  RemoveEvent,
  SoftRemoveEvent,
  UpdateEvent,
} from 'typeorm';
import type { EntityChange } from '../entity-change.js';
import { Announcements, type AnnouncedWrites } from './announcements.js';
import { LockedRows } from './locked-rows.js';
import { RelatedEntities } from './related-entities.js';
import type { RunnerTransactions } from './runner-transactions.js';
import { TableIndex } from './table-index.js';
import { transactionSteps } from './transaction-steps.js';
import { WrittenRows, type RowEvent } from './written-rows.js';

/** Of one query runner, which is one connection. */
interface RunnerEvent {
  readonly queryRunner: QueryRunner;
}

/**
 * Hears every statement and every row that a DataSource writes. A statement that TypeORM announces is told of by rows; any other that
 * names a table of an entity and may write has changed that table.
 */
export class TypeOrmSubscriber implements EntitySubscriberInterface<ObjectLiteral> {
  private readonly index: TableIndex;
  private readonly rows: WrittenRows;
  private readonly locked = new LockedRows();
  private readonly announcements = new WeakMap<QueryRunner, Announcements>();

  constructor(
    dataSource: Pick<DataSource, 'entityMetadatas'>,
    private readonly transactions: RunnerTransactions,
    isWatched: (name: string) => boolean,
    private readonly needsBefore: (name: string) => boolean,
  ) {
    this.index = new TableIndex(dataSource);
    this.rows = new WrittenRows(new RelatedEntities(dataSource.entityMetadatas), isWatched, this.locked);
  }

  beforeInsert(event: InsertEvent<ObjectLiteral>): void {
    this.announce(event);
  }

  beforeUpdate(event: UpdateEvent<ObjectLiteral>): Promise<void> | void {
    this.announce(event);
    return this.lock(event);
  }

  beforeRemove(event: RemoveEvent<ObjectLiteral>): Promise<void> | void {
    this.announce(event);
    return this.lock(event);
  }

  beforeSoftRemove(event: SoftRemoveEvent<ObjectLiteral>): Promise<void> | void {
    this.announce(event);
    return this.lock(event);
  }

  beforeRecover(event: RecoverEvent<ObjectLiteral>): Promise<void> | void {
    this.announce(event);
    return this.lock(event);
  }

  afterInsert(event: InsertEvent<ObjectLiteral>): Promise<void> {
    return this.tell(event, this.rows.inserted(event, this.reportOf(event)));
  }

  afterUpdate(event: UpdateEvent<ObjectLiteral>): Promise<void> {
    return this.tell(event, this.rows.updated(event, this.reportOf(event)));
  }

  afterRemove(event: RemoveEvent<ObjectLiteral>): Promise<void> {
    return this.tell(event, this.rows.removed(event, this.reportOf(event)));
  }

  afterSoftRemove(event: SoftRemoveEvent<ObjectLiteral>): Promise<void> {
    return this.tell(event, this.rows.softRemoved(event, this.reportOf(event)));
  }

  afterRecover(event: RecoverEvent<ObjectLiteral>): Promise<void> {
    return this.tell(event, this.rows.recovered(event, this.reportOf(event)));
  }

  async beforeQuery({ queryRunner, query }: BeforeQueryEvent): Promise<void> {
    if (!transactionSteps(query).includes('commit')) return;
    await this.settle(queryRunner);
    await this.transactions.beforeCommit(queryRunner);
  }

  async afterQuery(event: AfterQueryEvent): Promise<void> {
    const { queryRunner, query, success } = event;
    const steps = transactionSteps(query);
    // A commit that failed may have happened: the connection broke before the answer came.
    if (!success && !steps.includes('commit')) return this.failed(event);
    let isTold = false;
    for (const step of steps) {
      if (step === 'begin') this.afterTransactionStart(event);
      else if (step === 'rollback') this.drop(queryRunner);
      else if (step === 'commit') await this.transactions.commit(queryRunner);
      // By the words of the whole text, whichever statement it is.
      else if (!isTold) {
        isTold = true;
        await this.tellUnannounced(event);
      }
    }
  }

  private async tellUnannounced(event: AfterQueryEvent): Promise<void> {
    const { queryRunner, query, parameters } = event;
    const announcements = this.announcements.get(queryRunner);
    const statement = { text: query, parameters };
    const unannounced = this.index.writtenBy(query).filter((table) => !announcements?.sent(table, statement));
    const entities = unannounced.flatMap((table) => this.index.entitiesIn(table));
    if (entities.length === 0) return;
    await this.tell(
      event,
      entities.flatMap((metadata) => this.rows.unannounced(metadata, query)),
    );
  }

  /** For drivers that begin and end transactions by other means than statements. */
  afterTransactionStart({ queryRunner }: RunnerEvent): void {
    this.transactions.begin(queryRunner);
  }

  async afterTransactionCommit({ queryRunner }: RunnerEvent): Promise<void> {
    // Still active: that was a savepoint.
    if (queryRunner.isTransactionActive) return;
    await this.settle(queryRunner);
    await this.transactions.commit(queryRunner);
  }

  afterTransactionRollback({ queryRunner }: RunnerEvent): void {
    if (!queryRunner.isTransactionActive) this.drop(queryRunner);
  }

  private tell({ queryRunner }: RunnerEvent, changes: readonly EntityChange[]): Promise<void> {
    return this.transactions.add(queryRunner, changes);
  }

  private announce({ queryRunner, metadata }: RunnerEvent & RowEvent): void {
    const known = this.announcements.get(queryRunner) ?? new Announcements();
    this.announcements.set(queryRunner, known);
    known.announce(metadata.tableName);
  }

  /** Outside a transaction a lock would be gone before the row is written. */
  private lock({ queryRunner, metadata, databaseEntity }: RunnerEvent & RowEvent): Promise<void> | void {
    if (databaseEntity === undefined || !this.transactions.isOpen(queryRunner)) return undefined;
    if (this.rows.namesOf(metadata).some(this.needsBefore))
      return this.locked.lock(queryRunner, metadata, databaseEntity);
  }

  private reportOf({ queryRunner, metadata }: RunnerEvent & RowEvent): AnnouncedWrites | undefined {
    return this.announcements.get(queryRunner)?.report(metadata.tableName);
  }

  /** What was announced and never told of may have been written all the same. */
  private settle(queryRunner: QueryRunner): Promise<void> {
    const tables = this.announcements.get(queryRunner)?.settle() ?? [];
    const entities = tables.flatMap((table) => this.index.entitiesIn(table));
    return this.transactions.add(
      queryRunner,
      entities.flatMap((metadata) => this.rows.table(metadata)),
    );
  }

  /** Outside a transaction what was announced has failed with its statement, and will not be told of. */
  private failed({ queryRunner }: RunnerEvent): void {
    if (!this.transactions.isOpen(queryRunner)) this.announcements.delete(queryRunner);
  }

  private drop(queryRunner: QueryRunner): void {
    this.announcements.delete(queryRunner);
    this.transactions.rollback(queryRunner);
  }
}
