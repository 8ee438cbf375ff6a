import type { CacheKey } from '../cache.options.js';
import type { CacheEngine } from '../cache-engine.js';
import { addressOf, isPlain, type Address } from '../keys/address.js';
import type { EncodedKey } from '../keys/encoded-key.js';
import type { Namespace } from '../namespace.js';
import type { Found } from './found.js';
import { MISS } from './memory.tier.js';
import type { RequestScope } from './request.scope.js';
import { forget, recall, remember } from './request.tier.js';

/** A plain key of up to so many characters stands for itself in memory; a longer one may be kept under a digest. */
const SURELY_SHORT = 16;

/** What answers without asking the store, of one namespace: what this request has read, and what this process remembers. */
export class NearTiers {
  constructor(
    private readonly engine: CacheEngine,
    private readonly space: Namespace,
  ) {}

  /** The fresh value in the memory tier, or MISS. */
  peek(key: CacheKey): unknown {
    const { memory } = this.engine;
    return memory === undefined ? MISS : memory.fresh(this.slotOf(key));
  }

  /** What the memory tier has, stale or not. */
  peekFound(key: CacheKey): Found | undefined {
    return this.engine.memory?.find(this.slotOf(key));
  }

  /**
   * What a call may be answered with at once: the fresh value in the memory tier, if there is one; counted.
   * @param key as it is in the memory tier's index, or encoded once for many calls
   */
  answer(key: string | EncodedKey): Promise<unknown> | undefined {
    const { memory } = this.engine;
    if (memory === undefined || this.engine.requestScope?.() !== undefined) return undefined;
    const { index } = this.space;
    const answer = memory.answer(typeof key === 'string' ? index.get(key) : memory.slotOf(index, key));
    if (answer !== undefined) this.space.counters.memoryHits++;
    return answer;
  }

  /** What the request tier has, else the memory tier, stale or not. */
  find(address: Address, scope: RequestScope | undefined): Found | undefined {
    const remembered = scope && recall(scope, this.space, address.local);
    if (remembered) {
      this.space.counters.requestHits++;
      return remembered;
    }
    if (scope?.forced || scope?.learnsSince !== undefined) return undefined;
    const found = this.engine.memory?.find(this.space.index.get(address.local));
    if (found && this.engine.clock.now() < found.freshUntil) {
      this.space.counters.memoryHits++;
      if (scope) remember(scope, this.space, address.local, found);
    }
    return found;
  }

  /** These keys were, or are about to be, changed by this process. */
  forget(addresses: readonly Address[]): void {
    const scope = this.engine.requestScope?.();
    for (const address of addresses) {
      this.engine.coherence.forget(this.space, address.local, address.store);
      if (scope) forget(scope, this.space, address.local);
    }
  }

  /** Builds nothing for a plain string key that is there. */
  private slotOf(key: CacheKey): number | undefined {
    const { index } = this.space;
    if (typeof key === 'string' && isPlain(key)) {
      const slot = index.get(key);
      if (slot !== undefined || key.length <= SURELY_SHORT) return slot;
    }
    return index.get(addressOf(this.space, key).local);
  }
}
