import { CacheUsageError } from '../../core/errors/cache.error.js';
import type { EntityInvalidationService } from '../entity-invalidation.service.js';
import { TransactionChanges } from '../transaction-changes.js';
import { isRefusal } from './refusal.js';

/** What a transaction says of itself while it runs. */
export interface TransactionProgress {
  /** It has begun, and this is its id. A nested one has that of the one around it. */
  begun(id: unknown): void;
  /** Nothing but the commit is left to do. */
  done(): void;
}

/** The changes of transactions under way, by the ids that Prisma gives them. */
export class OpenTransactions {
  private readonly open = new Map<unknown, TransactionChanges>();

  constructor(private readonly entities: EntityInvalidationService) {}

  /** `undefined` for what is in no transaction. */
  changesOf(id: unknown): TransactionChanges | undefined {
    return this.open.get(id);
  }

  /** Runs a transaction and invalidates what it has changed unless it was rolled back. */
  async run(transaction: (progress: TransactionProgress) => Promise<unknown>): Promise<unknown> {
    const changes = new TransactionChanges(this.entities);
    let own: unknown;
    let isDone = false;
    const begun = (id: unknown): void => {
      if (id === undefined)
        throw new CacheUsageError(
          'unsupported_orm',
          'client must be a client of Prisma 7; its transactions have no id',
        );
      if (this.open.has(id)) return;
      own = id;
      this.open.set(id, changes);
    };
    try {
      return await transaction({ begun, done: () => (isDone = true) });
    } catch (error) {
      // After any other error of a commit nobody knows whether it happened.
      if (isRefusal(error)) isDone = false;
      throw error;
    } finally {
      if (own !== undefined) this.open.delete(own);
      if (isDone) await changes.commit();
    }
  }
}
