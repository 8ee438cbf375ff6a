import type { CacheEngine } from './cache-engine.js';
import { StoreUnavailableError } from './errors/cache.error.js';
import type { Address } from './keys/address.js';
import type { Namespace } from './namespace.js';

/** What `explain(key)` tells. Holds no value. Times in milliseconds from now. */
export interface CacheExplanation {
  readonly key: string;
  readonly storeKey: string;
  readonly namespace: string;
  readonly stamp: string;
  readonly memory: { readonly freshForMs: number; readonly expiresInMs: number; readonly ageMs: number } | undefined;
  readonly remote:
    | { readonly state: 'absent' | 'unusable' | 'unreachable' | 'off' }
    | { readonly state: 'void'; readonly because: 'expired' | 'invalidated' }
    | {
        readonly state: 'fresh' | 'stale';
        readonly bytes: number;
        readonly freshForMs: number;
        readonly expiresInMs: number;
        readonly ageMs: number;
        readonly tags: readonly string[];
      };
  /** A load of this key is under way in this process. */
  readonly isLoading: boolean;
  /** Changes made elsewhere are heard right now. */
  readonly isHeard: boolean;
  readonly isStoreDown: boolean;
}

export async function explain(engine: CacheEngine, space: Namespace, address: Address): Promise<CacheExplanation> {
  const now = engine.clock.now();
  const near = engine.memory?.find(space.index.get(address.local));
  return {
    key: address.encoded,
    storeKey: address.store,
    namespace: space.name,
    stamp: space.stamp,
    memory: near && {
      freshForMs: near.freshUntil - now,
      expiresInMs: near.expiresAt - now,
      ageMs: now - near.createdAt,
    },
    remote: await explainRemote(engine, space, address),
    isLoading: space.flights.get(address.local) !== undefined,
    isHeard: engine.coherence.isHeard,
    isStoreDown: engine.guard.breaker.isOpen,
  };
}

async function explainRemote(
  engine: CacheEngine,
  space: Namespace,
  address: Address,
): Promise<CacheExplanation['remote']> {
  if (engine.passThrough) return { state: 'off' };
  const budget = engine.guard.budget();
  try {
    await engine.reader.ready(budget);
    const [bytes] = await engine.guard.run('read', budget, (store) => store.read([address.store]));
    if (bytes === undefined) return { state: 'absent' };
    const { rejected } = space.counters;
    const frame = engine.entries.parse(space, address, bytes);
    if (frame === undefined)
      return space.counters.rejected > rejected ? { state: 'unusable' } : { state: 'void', because: 'expired' };
    const { found } = await engine.reader.judge(space, address, bytes, budget);
    if (found === undefined) return { state: 'void', because: 'invalidated' };
    // By what was found, not by the frame: a tag may have been expired since, or its stamp is a former one.
    const now = engine.clock.now();
    return {
      state: now < found.freshUntil ? 'fresh' : 'stale',
      bytes: bytes.length,
      freshForMs: found.freshUntil - now,
      expiresInMs: found.expiresAt - now,
      ageMs: now - found.createdAt,
      tags: frame.tags.map((tag) => tag.name),
    };
  } catch (error) {
    if (error instanceof StoreUnavailableError) return { state: 'unreachable' };
    throw error;
  }
}
