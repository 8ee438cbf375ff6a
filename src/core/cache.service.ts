import type { CacheEngine } from './cache-engine.js';
import type {
  CacheKey,
  CallOptions,
  EntryOptions,
  InvalidationOptions,
  Loader,
  LoadOptions,
  ManyLoader,
  ScanOptions,
  ScanProgress,
  StampOptions,
} from './cache.options.js';
import { BulkReads } from './bulk-reads.js';
import { CachedResponse } from './cached-response.js';
import type { Lifetime } from './clock/duration.js';
import { lifetimeMs } from './clock/duration.js';
import type { CacheExplanation } from './cache-explanation.js';
import { explain } from './cache-explanation.js';
import { makePlan, planOf, type LoadPlan } from './freshness/load-plan.js';
import { addressOf, isPlain } from './keys/address.js';
import type { EncodedKey } from './keys/encoded-key.js';
import { LoadingReads } from './loading-reads.js';
import type { CacheCounters, Namespace } from './namespace.js';
import { MOST_ENTRIES, portionsOf } from './portions.js';
import { MISS } from './tiers/memory.tier.js';
import { NearTiers } from './tiers/near-tiers.js';
import { APPLICATION_STAMP, stampToken } from './tokens/token-parts.js';
import { EntryUpdates } from './writes/entry-updates.js';
import { EntryWriter } from './writes/entry-writer.js';
import { Invalidations } from './writes/invalidations.js';
import { PrefixScan } from './writes/prefix-scan.js';

/**
 * One named cache over three tiers: this request, this process, everyone. Inject it, or another namespace with `@InjectCache(name)`.
 *
 * Reads and `getOrSet` never fail and hardly wait because of a broken store. `set` and `add` tell by `false` that nothing was shared;
 * the invalidations (`delete`, `expire`, `clear`, ...) resolve when the store has acknowledged them, or when they wait for it to come back:
 * they hold in this process at once, and are sent before anything that the store says is believed. With `whenDown: 'reject'` they reject
 * with StoreUnavailableError instead.
 * @example const book = await cache.getOrSet(['book', id], () => db.load(id), { ttl: '24h', freshFor: '1h' });
 */
export class CacheService {
  readonly name: string;
  private readonly near: NearTiers;
  private readonly loading: LoadingReads;
  private readonly bulk: BulkReads;
  private readonly invalidations: Invalidations;
  private readonly writer: EntryWriter;
  private readonly updates: EntryUpdates;
  private readonly prefixScan: PrefixScan;

  /** Made by the engine; inject it instead of calling this. */
  constructor(
    private readonly engine: CacheEngine,
    private readonly space: Namespace,
  ) {
    this.name = space.name;
    this.near = new NearTiers(engine, space);
    this.loading = new LoadingReads(engine, space, this.near);
    this.bulk = new BulkReads(engine, space, this.near, this.loading);
    this.invalidations = new Invalidations(engine, space, this.near);
    this.writer = new EntryWriter(engine, space, this.near, this.invalidations);
    this.prefixScan = new PrefixScan(engine, space, this.invalidations);
    this.updates = new EntryUpdates(engine, space, this.near, this.writer, this.invalidations);
  }

  /** What the tiers have, stale or not. Never loads. */
  get<T = unknown>(key: CacheKey): Promise<CachedResponse<T>> {
    const hit = this.bulk.hit<T>(key);
    return hit === undefined ? this.bulk.get<T>(key) : Promise.resolve(hit);
  }

  /** The fresh value in the memory tier, synchronously, or `undefined`. */
  peek<T = unknown>(key: CacheKey): T | undefined {
    const value = this.near.peek(key);
    return value === MISS ? undefined : (value as T);
  }

  /** For responses. As {@link get}, but from the memory tier alone and at once: a stale value, too. `undefined` where it has nothing. @internal */
  peekEntry<T = unknown>(key: string): CachedResponse<T> | undefined {
    if (this.engine.requestScope?.()?.forced) return undefined;
    const found = this.near.peekFound(key);
    return found && CachedResponse.found<T>(key, found, this.engine.clock.now());
  }

  /**
   * The value, loaded once in the whole fleet if it is not there. Concurrent callers share one run of the loader; a result that is
   * invalidated while it is being loaded answers its callers and is not stored.
   * @throws ColdCacheException if somebody else computes the value and `onCold` or `waitBudget` says not to wait (longer)
   * @throws whatever the loader throws, unless there is a stale value to serve
   */
  getOrSet<T, S = T>(key: CacheKey | EncodedKey, loader: Loader<T, S>, options?: CallOptions<T>): Promise<T> {
    // The hot path: nothing is built before the memory tier has been asked.
    if (typeof key === 'string' && !this.mustLookCloser(options) && isPlain(key)) {
      const answer = this.near.answer(key);
      if (answer !== undefined) return answer as Promise<T>;
    }
    return this.loading.value(key, loader as unknown as Loader<T>, options);
  }

  /**
   * For `@Cached`, which keeps its keys encoded: what {@link getOrSet} would answer at once, if anything.
   * @internal
   */
  answer(key: EncodedKey): Promise<unknown> | undefined {
    return this.near.answer(key);
  }

  /**
   * For `@Cached`: options of many calls, over those of this namespace, read once.
   * @throws CacheUsageError `invalid_duration`, `invalid_option`
   * @internal
   */
  plan(options: LoadOptions): LoadPlan {
    return makePlan(options, this.space.plan);
  }

  /** A hit may not be all that is asked for. */
  private mustLookCloser(options: CallOptions | undefined): boolean {
    if (this.space.plan.eagerRefresh !== 1) return true;
    return options !== undefined && (options.forceFresh === true || options.eagerRefresh !== undefined);
  }

  /** Stores in all tiers. `false`: not shared with other processes (the store is down, or `ttl` is 0, which removes the entry). */
  async set(key: CacheKey, value: unknown, options?: EntryOptions): Promise<boolean> {
    return this.writer.set(addressOf(this.space, key), value, planOf(this.space, options));
  }

  /** Stores only if there is no entry. `true` if it did. */
  async add(key: CacheKey, value: unknown, options?: EntryOptions): Promise<boolean> {
    return this.writer.add(addressOf(this.space, key), value, planOf(this.space, options));
  }

  /** Gives an entry a new hard lifetime from now. `false` if there is none. */
  async touch(key: CacheKey, ttl: Lifetime): Promise<boolean> {
    return this.updates.touch(addressOf(this.space, key), lifetimeMs(ttl, 'ttl'));
  }

  /**
   * Removes an entry everywhere; a load under way will not bring it back. `true` if there was one. While the store is down the removal
   * waits (see {@link InvalidationOptions}), and the answer is whether this process knew of an entry.
   * @throws StoreUnavailableError where it is not to wait
   */
  async delete(key: CacheKey, options?: InvalidationOptions): Promise<boolean> {
    return (await this.deleteMany([key], options)) > 0;
  }

  /** {@link delete} for many; resolves to how many there were. @throws StoreUnavailableError where it is not to wait */
  async deleteMany(keys: readonly CacheKey[], options?: InvalidationOptions): Promise<number> {
    const addresses = keys.map((key) => addressOf(this.space, key));
    return this.invalidations.remove(addresses, options?.whenDown);
  }

  async has(key: CacheKey): Promise<boolean> {
    return (await this.get(key)).isFound;
  }

  /**
   * Soft purge: the entry is stale from now on, but still there to be served while it is refreshed. While the store is down, a removal waits
   * in its place.
   * @throws StoreUnavailableError where it is not to wait
   */
  async expire(key: CacheKey, options?: InvalidationOptions): Promise<boolean> {
    return this.updates.expire(addressOf(this.space, key), options?.whenDown);
  }

  /**
   * Adds to a number atomically; starts from `initial` (0) if there is none. Keeps the entry's lifetime.
   * @throws CacheUsageError `not_a_number`, also for a sum beyond 2^53, where numbers lose count
   * @throws StoreUnavailableError
   */
  async increment(key: CacheKey, by = 1, options: EntryOptions & { initial?: number } = {}): Promise<number> {
    const { initial = 0, ...entry } = options;
    return this.updates.increment(addressOf(this.space, key), by, initial, planOf(this.space, entry));
  }

  /** {@link increment} by the negative. */
  async decrement(key: CacheKey, by = 1, options?: EntryOptions & { initial?: number }): Promise<number> {
    return this.increment(key, -by, options);
  }

  /** Responses in the order of `keys`; what the near tiers lack is read in one operation. */
  async getMany<T = unknown>(keys: readonly CacheKey[]): Promise<Array<CachedResponse<T>>> {
    return this.bulk.getMany(keys);
  }

  /**
   * For state caches, whose decisions must not rest on what this process believes: as {@link getMany}, by the word of the store alone, past
   * the near tiers, and past a request that skips tiers.
   * @throws StoreUnavailableError
   * @internal
   */
  async getManyShared<T = unknown>(keys: readonly CacheKey[]): Promise<Array<CachedResponse<T>>> {
    return this.bulk.getManyShared(keys);
  }

  /** Stores each entry. Resolves to whether all of them are shared. */
  async setMany(entries: Iterable<readonly [CacheKey, unknown]>, options?: EntryOptions): Promise<boolean> {
    let areShared = true;
    for (const portion of portionsOf([...entries], MOST_ENTRIES)) {
      const stored = await Promise.all(portion.map(([key, value]) => this.set(key, value, options)));
      areShared &&= stored.every(Boolean);
    }
    return areShared;
  }

  /**
   * {@link getOrSet} for many ids: the loader is called once, with exactly the missing ids. Ids it does not return are absent from the
   * result and not stored; ids nobody asked for are ignored. The result keeps the order of `ids`, without doubles.
   * @example await cache.getOrSetMany(ids, async (missing) => new Map((await db.books(missing)).map((b) => [b.id, b])), { key: (id) => ['book', id] })
   */
  async getOrSetMany<I extends string | number, T>(
    ids: Iterable<I>,
    loader: ManyLoader<I, T>,
    options: CallOptions<T> & { key?: (id: I) => CacheKey } = {},
  ): Promise<Map<I, T>> {
    const { key: keyOf = (id: I): CacheKey => (typeof id === 'string' ? id : [id]), ...load } = options;
    return this.bulk.getOrSetMany(ids, loader, keyOf, load);
  }

  /** Makes every entry that carries one of the tags a miss, in all namespaces, in one step each. @throws StoreUnavailableError where it is not to wait */
  async invalidateTags(tags: readonly string[], options?: InvalidationOptions): Promise<void> {
    await this.invalidations.invalidateTags(tags, options?.whenDown);
  }

  /**
   * Soft purge by tags: every entry that carries one of them is stale from now on, but still there to be served while it is refreshed; one
   * step each. While the store is down, such entries are misses here.
   * @throws StoreUnavailableError where it is not to wait
   * @example await cache.expireTags(['prices']); // the next reader of each refreshes it, nobody waits
   */
  async expireTags(tags: readonly string[], options?: InvalidationOptions): Promise<void> {
    await this.invalidations.expireTags(tags, options?.whenDown);
  }

  /**
   * Makes every entry under a declared prefix a miss, in one step.
   * @throws CacheUsageError `undeclared_prefix`
   * @throws StoreUnavailableError where it is not to wait
   */
  async deleteByPrefix(prefix: CacheKey, options?: InvalidationOptions): Promise<void> {
    await this.invalidations.invalidatePrefix(prefix, options?.whenDown);
  }

  /** For options that name prefixes. @throws CacheUsageError `undeclared_prefix` @internal */
  checkPrefix(prefix: CacheKey): void {
    this.invalidations.tokenOf(prefix);
  }

  /**
   * Deletes the entries of this namespace whose keys begin so, by going through everything that the store has: a job for maintenance, never
   * for a request (a million keys take a thousand steps). Entries written meanwhile may be missed; loads under way are voided only where
   * there is an entry. Where the prefix is known beforehand, declare it and call {@link deleteByPrefix}.
   * @throws CacheUsageError `scan_unsupported`
   * @throws StoreUnavailableError at the first step that fails; the last `onProgress` tells from where to go on
   * @throws the reason of `signal`
   * @example await cache.scanAndDelete(['course'], { pause: 5, signal, onProgress: ({ deleted }) => log(deleted) });
   */
  async scanAndDelete(prefix: CacheKey, options?: ScanOptions): Promise<ScanProgress> {
    return this.prefixScan.delete(prefix, options);
  }

  /**
   * Makes every entry of this namespace a miss, in one step; nothing else is touched, locks least of all.
   * @throws StoreUnavailableError where it is not to wait
   */
  async clear(options?: InvalidationOptions): Promise<void> {
    await this.invalidations.clear(options?.whenDown);
  }

  /** @throws CacheUsageError `unknown_namespace` */
  namespace(name: string): CacheService {
    return this.engine.namespace(name);
  }

  /** Where an entry is and why it is, or is not, served. For people; shows no value. */
  async explain(key: CacheKey): Promise<CacheExplanation> {
    return explain(this.engine, this.space, addressOf(this.space, key));
  }

  /**
   * Changes this namespace's stamp for all processes, those that start later included: what was stored or begun to be loaded before is a miss
   * everywhere, or stale for as long as `grace` says. To announce the stamp that holds changes nothing (a shorter grace counts), so that every
   * process may. It is apart from the configured stamp, which is part of the keys.
   * @throws CacheUsageError `invalid_option`, `invalid_duration`
   * @throws StoreUnavailableError where it is not to wait
   * @example await catalogue.setStamp(release.id, { grace: '10m' });
   */
  async setStamp(stamp: string, options?: StampOptions): Promise<void> {
    await this.engine.setStamp(this.name, stampToken(this.name), stamp, options);
  }

  /** {@link setStamp} for all namespaces of the application at once, also those that only other processes have. */
  async setApplicationStamp(stamp: string, options?: StampOptions): Promise<void> {
    await this.engine.setStamp(this.name, APPLICATION_STAMP, stamp, options);
  }

  /** Counters since the start. */
  stats(): Readonly<CacheCounters> {
    return { ...this.space.counters };
  }
}
