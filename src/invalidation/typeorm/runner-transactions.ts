import type { QueryRunner } from 'typeorm';
import { applySaved } from '../apply-saved.js';
import type { EntityChange } from '../entity-change.js';
import type { EntityInvalidationService } from '../entity-invalidation.service.js';
import { TransactionChanges } from '../transaction-changes.js';
import type { TypeOrmOutbox } from './typeorm-outbox.js';

interface OpenTransaction {
  readonly changes: TransactionChanges;
  /** Of the row in the outbox, when the commit has begun. */
  outboxRow?: string;
}

/** What the open transactions of a DataSource have changed so far. Outside a transaction a change is invalidated at once. */
export class RunnerTransactions {
  private readonly open = new WeakMap<QueryRunner, OpenTransaction>();

  constructor(
    private readonly entities: EntityInvalidationService,
    private readonly outbox?: TypeOrmOutbox,
  ) {}

  /** Never rejects. With an outbox: whether the store has acknowledged it, so that nothing is left to do for a relay. */
  private readonly apply = async (changes: readonly EntityChange[]): Promise<boolean> => {
    if (await this.outbox?.publish(changes)) return true;
    const isApplied = await applySaved(this.entities, changes);
    return isApplied && this.outbox === undefined;
  };

  isOpen(runner: QueryRunner): boolean {
    return this.open.has(runner) || runner.isTransactionActive;
  }

  begin(runner: QueryRunner): OpenTransaction {
    const transaction = this.open.get(runner) ?? { changes: new TransactionChanges(this.entities) };
    this.open.set(runner, transaction);
    return transaction;
  }

  /** Resolves when the changes are invalidated, or at once inside a transaction. */
  async add(runner: QueryRunner, changes: readonly EntityChange[]): Promise<void> {
    if (changes.length === 0) return;
    if (this.isOpen(runner)) this.begin(runner).changes.add(...changes);
    else if (!(await this.apply(changes))) await this.outbox?.writeLate(changes);
  }

  /** The last that is written in the transaction. @throws what the database throws, so that nothing is committed without its row */
  async beforeCommit(runner: QueryRunner): Promise<void> {
    const transaction = this.open.get(runner);
    if (this.outbox === undefined || transaction === undefined || transaction.changes.isEmpty) return;
    transaction.outboxRow = await this.outbox.write(runner, transaction.changes.all);
  }

  /** The outermost transaction was committed, or nobody knows whether it was. */
  async commit(runner: QueryRunner): Promise<void> {
    const transaction = this.open.get(runner);
    this.open.delete(runner);
    const isPublished = await transaction?.changes.commit(this.apply);
    if (isPublished && transaction?.outboxRow !== undefined) this.outbox?.remove(transaction.outboxRow);
  }

  /** The outermost transaction was rolled back. */
  rollback(runner: QueryRunner): void {
    this.open.delete(runner);
  }
}
