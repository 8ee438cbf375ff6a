import { Logger } from '@nestjs/common';
import type { CacheService } from '../core/cache.service.js';
import { changeOf, type EntityChange, type EntityId } from './entity-change.js';
import type { EntityRules } from './entity-rules.js';

/**
 * Makes entries that show saved or deleted entities misses, in all namespaces and all processes. Inject it where no adapter of an ORM
 * sees the change: after a bulk import, a webhook, a stored procedure.
 */
export class EntityInvalidationService {
  private readonly logger = new Logger(EntityInvalidationService.name);

  constructor(
    private readonly cache: CacheService,
    private readonly rules: EntityRules,
  ) {}

  /**
   * One row has changed, been added or removed: its entries and every list of the entity go. Without an id: everything of the entity.
   * Call it after the change is committed.
   * While the store is down the invalidation waits for it, like any other.
   * @throws CacheUsageError `invalid_entity` @throws StoreUnavailableError where it is not to wait (`whenDown`)
   * @example await this.entities.invalidateEntity('Course', 42)
   */
  async invalidateEntity(entity: string, id?: EntityId): Promise<void> {
    await this.apply([changeOf(entity, id)]);
  }

  /** What adapters call after the outermost commit. No more entries go than the rules of the entities say. @throws StoreUnavailableError where it is not to wait */
  async apply(changes: Iterable<EntityChange>): Promise<void> {
    const tags = this.tagsOf(changes);
    if (tags.length > 0) await this.cache.invalidateTags(tags);
  }

  /** Whether it matters to what goes how a row of it was before: only if it is declared by what its lists are filtered. */
  needsBefore(entity: string): boolean {
    return this.rules.has(entity);
  }

  /** The tags that these changes invalidate, for who sends them by other means. */
  tagsOf(changes: Iterable<EntityChange>): string[] {
    return this.rules.tagsOf(changes);
  }

  /**
   * As {@link apply}, for adapters, whose changes are saved already: a failure is logged, with what and how many, and does not reach the
   * caller. Resolves to whether all were invalidated, or wait in this process for the store.
   */
  async applyOrWarn(changes: readonly EntityChange[]): Promise<boolean> {
    try {
      await this.apply(changes);
      return true;
    } catch (error) {
      const entities = [...new Set(changes.map(({ entity }) => entity))].join(', ');
      const reason = error instanceof Error ? error.message : typeof error;
      this.logger.warn(`${changes.length} committed change(s) of ${entities} could not be invalidated: ${reason}`);
      return false;
    }
  }

  /** As {@link applyOrWarn}, but resolves to whether the store has acknowledged it. Else it waits for the store in this process, as ever. */
  async applyAcknowledged(changes: readonly EntityChange[]): Promise<boolean> {
    try {
      const tags = this.tagsOf(changes);
      if (tags.length > 0) await this.cache.invalidateTags(tags, { whenDown: 'reject' });
      return true;
    } catch {
      await this.applyOrWarn(changes);
      return false;
    }
  }
}
