import type { QueryRunner } from 'typeorm';
import type { EntityChange } from '../entity-change.js';
import type { EntityInvalidationService } from '../entity-invalidation.service.js';
import { TransactionChanges } from '../transaction-changes.js';

/** What the open transactions of a DataSource have changed so far. Outside a transaction a change is invalidated at once. */
export class RunnerTransactions {
  private readonly open = new WeakMap<QueryRunner, TransactionChanges>();

  constructor(private readonly invalidation: EntityInvalidationService) {}

  isOpen(runner: QueryRunner): boolean {
    return this.open.has(runner) || runner.isTransactionActive;
  }

  begin(runner: QueryRunner): TransactionChanges {
    const changes = this.open.get(runner) ?? new TransactionChanges(this.invalidation);
    this.open.set(runner, changes);
    return changes;
  }

  /** Resolves when the changes are invalidated, or at once inside a transaction. */
  async add(runner: QueryRunner, changes: readonly EntityChange[]): Promise<void> {
    if (changes.length === 0) return;
    if (this.isOpen(runner)) this.begin(runner).add(...changes);
    else await this.invalidation.applyOrWarn(changes);
  }

  /** The outermost transaction was committed, or nobody knows whether it was. */
  async commit(runner: QueryRunner): Promise<void> {
    const changes = this.open.get(runner);
    this.open.delete(runner);
    await changes?.commit();
  }

  /** The outermost transaction was rolled back. */
  rollback(runner: QueryRunner): void {
    this.open.delete(runner);
  }
}
