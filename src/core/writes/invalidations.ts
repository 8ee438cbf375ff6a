import type { CacheKey, WhenDown } from '../cache.options.js';
import type { CacheEngine } from '../cache-engine.js';
import { CacheUsageError } from '../errors/cache.error.js';
import type { Address } from '../keys/address.js';
import { encodeKey } from '../keys/key-encoding.js';
import type { Namespace } from '../namespace.js';
import { tagToken } from '../namespace.js';
import { MOST_NAMES } from '../portions.js';
import type { NearTiers } from '../tiers/near-tiers.js';
import { assertMayWait } from './assert-may-wait.js';

/**
 * Makes entries misses. What this process knows is forgotten before the store is told (nobody may join an older flight) and again when
 * the store has acknowledged it, or the queue has taken it (somebody may have read the old value in between).
 */
export class Invalidations {
  constructor(
    private readonly engine: CacheEngine,
    private readonly space: Namespace,
    private readonly near: NearTiers,
  ) {}

  /** The number of entries that were there, as far as is known. */
  async remove(addresses: readonly Address[], whenDown?: WhenDown): Promise<number> {
    const { guard, passThrough } = this.engine;
    if (passThrough || addresses.length === 0) return 0;
    const known = addresses.map(({ local }) => this.space.index.has(local));
    let removed = 0;
    let sent = 0;
    this.near.forget(addresses);
    try {
      for (; sent < addresses.length; sent += MOST_NAMES) {
        const keys = addresses.slice(sent, sent + MOST_NAMES).map((address) => address.store);
        removed += await guard.run('remove', guard.budget(), (store) => store.remove(keys));
      }
      return removed;
    } catch (error) {
      this.checkQueues(error, whenDown);
      this.queueRemoval(addresses.slice(sent));
      return removed + known.slice(sent).filter(Boolean).length;
    } finally {
      this.near.forget(addresses);
    }
  }

  /** What could not be written or removed is removed as soon as the store is back; it is not believed before. */
  queueRemoval(addresses: readonly Address[]): void {
    this.space.counters.queued += addresses.length;
    this.engine.guard.queue.addKeys(
      this.space.token,
      addresses.map((address) => address.store),
    );
  }

  async invalidateTags(tags: readonly string[], whenDown?: WhenDown): Promise<void> {
    await this.rotateTags(tags, whenDown, false);
  }

  /** Soft: what carries them is stale, and there to be served while it is refreshed. */
  async expireTags(tags: readonly string[], whenDown?: WhenDown): Promise<void> {
    await this.rotateTags(tags, whenDown, true);
  }

  async invalidatePrefix(prefix: CacheKey, whenDown?: WhenDown): Promise<void> {
    await this.rotate([this.tokenOf(prefix)], whenDown);
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

  async clear(whenDown?: WhenDown): Promise<void> {
    await this.rotate([this.space.token], whenDown);
    this.engine.memory?.removeAll(this.space.index);
    this.engine.requestScope?.()?.entries.delete(this.space.name);
  }

  /** @throws StoreUnavailableError unless the invalidation is to wait until the store is back */
  checkQueues(error: unknown, whenDown: WhenDown = this.space.whenDown): void {
    assertMayWait(error, whenDown);
  }

  /** Caches elsewhere are told in any case: what they keep of it is as old. */
  private async rotateTags(tags: readonly string[], whenDown: WhenDown | undefined, soft: boolean): Promise<void> {
    const names = tags.map(tagToken);
    try {
      if (!(await this.rotate(names, whenDown, soft))) this.engine.waitingTags.add(names, tags);
    } finally {
      this.engine.tagsInvalidated(tags);
    }
  }

  /** `false`: it waits for the store. */
  private async rotate(names: readonly string[], whenDown: WhenDown | undefined, soft = false): Promise<boolean> {
    if (this.engine.passThrough || names.length === 0) return true;
    const { tokens, coherence, guard, requestScope } = this.engine;
    const scope = requestScope?.();
    // What is loaded while the store is down learns its tokens at the end.
    if (scope) scope.changes++;
    tokens.doubt(names);
    coherence.detachAll();
    const adopt = tokens.replace(names);
    const rotated: string[] = [];
    let sent = 0;
    try {
      for (; sent < names.length; sent += MOST_NAMES) {
        const part = names.slice(sent, sent + MOST_NAMES);
        rotated.push(...(await guard.run('rotate', guard.budget(), (store) => store.rotate(part, soft))));
      }
      adopt(rotated);
      return true;
    } catch (error) {
      this.checkQueues(error, whenDown);
      const waiting = names.slice(sent);
      this.space.counters.queued += waiting.length;
      guard.queue.addTokens(waiting, soft);
      tokens.doubt(names);
      return false;
    } finally {
      coherence.detachAll();
    }
  }
}
