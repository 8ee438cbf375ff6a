import type { CacheService, ManyLoader, Tier } from 'nestjs-tiered-cache';

/** A value, which tier it came from, and how long the cache (or the loader behind it) took. */
export class Answer<T> {
  constructor(
    readonly value: T,
    readonly tier: Tier,
    readonly cacheMs: number,
  ) {}
}

/** The loader is asked once, for exactly the ids that no tier has. The tier told is the slowest that was needed. */
export async function answerMany<T>(
  cache: CacheService,
  ids: readonly number[],
  loader: ManyLoader<number, T>,
): Promise<Answer<Map<number, T>>> {
  const start = performance.now();
  const hits = await cache.getMany<T>(ids.map((id) => [id]));
  const tiers = new Set(hits.map((hit) => (hit.isFound && !hit.isStale ? hit.tier : 'loader')));
  const tier = (['loader', 'remote', 'memory', 'request'] as const).find((name) => tiers.has(name)) ?? 'memory';
  const values = await cache.getOrSetMany(ids, loader);
  return new Answer(values, tier, performance.now() - start);
}
