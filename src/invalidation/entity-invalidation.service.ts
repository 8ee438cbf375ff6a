import type { CacheService } from '../core/cache.service.js';
import { changeOf, type EntityChange, type EntityId } from './entity-change.js';
import type { EntityRules } from './entity-rules.js';

/**
 * Makes entries that show saved or deleted entities misses, in all namespaces and all processes. Inject it where no adapter of an ORM
 * sees the change: after a bulk import, a webhook, a stored procedure.
 */
export class EntityInvalidationService {
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

  /**
   * As {@link invalidateEntity}, for who knows more of the change: no more entries go than the rules of the entities (`defineEntity()`) say.
   * Call it after the changes are committed.
   * @throws CacheUsageError `invalid_entity` @throws StoreUnavailableError where it is not to wait (`whenDown`)
   * @example await this.entities.apply([{ entity: 'Course', kind: 'update', id: 42, before, after }])
   */
  async apply(changes: Iterable<EntityChange>): Promise<void> {
    const tags = this.rules.tagsOf(changes);
    if (tags.length > 0) await this.cache.invalidateTags(tags);
  }
}
