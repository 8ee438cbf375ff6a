import { applySaved } from './apply-saved.js';
import type { EntityChange } from './entity-change.js';
import type { EntityInvalidationService } from './entity-invalidation.service.js';

/** Rows of one entity beyond this are a change of the whole table: one tag instead of thousands. */
const MAX_ROWS = 500;

/**
 * What one transaction has changed so far. Adapters of ORMs make one per transaction, hand it every change and every end, and nothing is
 * invalidated before the outermost commit: a reader in between would only store the old row again.
 *
 * The end of a savepoint decides nothing. Statements sent at the same time share it, so that it is not known which changes a rollback to it
 * undid; all are kept, and the worst is a miss.
 */
export class TransactionChanges {
  private readonly rows = new Map<string, EntityChange[]>();
  private depth = 1;

  constructor(private readonly entities: EntityInvalidationService) {}

  get isEmpty(): boolean {
    return this.rows.size === 0;
  }

  /** In the order in which they were added, by entity. */
  get all(): EntityChange[] {
    return [...this.rows.values()].flat();
  }

  add(...changes: readonly EntityChange[]): void {
    for (const change of changes) {
      const { entity } = change;
      const known = this.rows.get(entity) ?? [];
      if (known[0]?.kind === 'table') continue;
      known.push(change);
      const isTable = change.kind === 'table' || known.length > MAX_ROWS;
      this.rows.set(entity, isTable ? [{ entity, kind: 'table' }] : known);
    }
  }

  /** A savepoint, or a transaction inside this one, begins: the next `commit()` or `rollback()` is the end of that. */
  nest(): void {
    this.depth++;
  }

  /**
   * The innermost transaction was committed. After the outermost: resolves when its changes are invalidated, to `false` if they could not
   * be. Never rejects, since the data are saved whatever becomes of the cache. Also for a commit of which it is not known whether it happened.
   */
  async commit(
    apply = (changes: readonly EntityChange[]): Promise<boolean> => applySaved(this.entities, changes),
  ): Promise<boolean> {
    if (this.isInner()) return true;
    const changes = this.all;
    this.rows.clear();
    return apply(changes);
  }

  /** The innermost transaction was rolled back. After the outermost nothing is left to invalidate. */
  rollback(): void {
    if (!this.isInner()) this.rows.clear();
  }

  private isInner(): boolean {
    if (this.depth === 1) return false;
    this.depth--;
    return true;
  }
}
