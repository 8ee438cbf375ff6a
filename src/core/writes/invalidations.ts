import type { CacheKey } from '../cache.options.js';
import type { CacheEngine } from '../cache-engine.js';
import { CacheUsageError } from '../errors/cache.error.js';
import type { Address } from '../keys/address.js';
import { encodeKey } from '../keys/key-encoding.js';
import type { Namespace } from '../namespace.js';
import { tagToken } from '../namespace.js';
import type { NearTiers } from '../tiers/near-tiers.js';

/**
 * Makes entries misses. What this process knows is forgotten before the store is told (nobody may join an older flight) and again when
 * the store has acknowledged it (somebody may have read the old value in between).
 */
export class Invalidations {
  constructor(
    private readonly engine: CacheEngine,
    private readonly space: Namespace,
    private readonly near: NearTiers,
  ) {}

  async remove(addresses: readonly Address[]): Promise<number> {
    if (this.engine.passThrough || addresses.length === 0) return 0;
    this.near.forget(addresses);
    try {
      return await this.engine.guard.run('remove', this.engine.guard.budget(), (store) =>
        store.remove(addresses.map((address) => address.store)),
      );
    } finally {
      this.near.forget(addresses);
    }
  }

  async invalidateTags(tags: readonly string[]): Promise<void> {
    try {
      await this.rotate(tags.map(tagToken));
    } finally {
      this.engine.tagsInvalidated(tags);
    }
  }

  async invalidatePrefix(prefix: CacheKey): Promise<void> {
    await this.rotate([this.tokenOf(prefix)]);
  }

  /** @throws CacheUsageError `undeclared_prefix` */
  tokenOf(prefix: CacheKey): string {
    const encoded = encodeKey(prefix);
    const declared = this.space.prefixes.find((candidate) => candidate.encoded === encoded);
    if (!declared) {
      throw new CacheUsageError(
        'undeclared_prefix',
        `prefix "${encoded}" is not declared: add it to the "prefixes" of namespace "${this.space.name}"`,
      );
    }
    return declared.token;
  }

  async clear(): Promise<void> {
    await this.rotate([this.space.token]);
    this.engine.memory?.removeAll(this.space.index);
    this.engine.requestScope?.()?.entries.delete(this.space.name);
  }

  private async rotate(names: readonly string[]): Promise<void> {
    if (this.engine.passThrough || names.length === 0) return;
    const { tokens, coherence, guard } = this.engine;
    tokens.doubt(names);
    coherence.detachAll();
    const adopt = tokens.replace(names);
    try {
      adopt(await guard.run('rotate', guard.budget(), (store) => store.rotate(names)));
    } finally {
      coherence.detachAll();
    }
  }
}
