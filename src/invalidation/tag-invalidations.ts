import type { CacheService } from '../core/cache.service.js';

/** Of the cache what an outbox needs. Who is given this reads nothing, so that requests need no request tier for it. */
export class TagInvalidations {
  constructor(private readonly cache: CacheService) {}

  /** @throws StoreUnavailableError when the store has not acknowledged it: then it does not wait */
  async send(tags: readonly string[]): Promise<void> {
    await this.cache.invalidateTags(tags, { whenDown: 'reject' });
  }
}
