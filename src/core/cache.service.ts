import type { CacheEngine } from './cache-engine.js';
import type { CacheKey, EntryOptions, LoadContext, Loader, LoadOptions, ManyLoader } from './cache.options.js';
import { BulkReads } from './bulk-reads.js';
import type { CachedResponse } from './cached-response.js';
import type { Lifetime } from './clock/duration.js';
import { lifetimeMs } from './clock/duration.js';
import type { CacheExplanation } from './cache-explanation.js';
import { explain } from './cache-explanation.js';
import { EntryWriter } from './entry-writer.js';
import { CacheUsageError } from './errors/cache.error.js';
import type { Flight } from './flights/flight.js';
import { LANDED } from './flights/flight.js';
import { planOf } from './flights/load-plan.js';
import type { FlightTask } from './flights/read-through.js';
import type { Address } from './keys/address.js';
import { addressOf, isPlain } from './keys/address.js';
import type { CacheCounters, Namespace } from './namespace.js';
import type { Found } from './tiers/found.js';
import { MISS } from './tiers/memory.tier.js';
import type { RequestScope } from './tiers/request.scope.js';
import { recall, remember } from './tiers/request.tier.js';

/**
 * One named cache over three tiers: this request, this process, everyone. Inject it, or another namespace with `@InjectCache(name)`.
 *
 * Reads and `getOrSet` never fail and hardly wait because of a broken store. `set` and `add` tell by `false` that nothing was shared;
 * the invalidations (`delete`, `expire`, `clear`, ...) reject with StoreUnavailableError, so that none is lost without your knowing.
 * @example const book = await cache.getOrSet(['book', id], () => db.load(id), { ttl: '24h', freshFor: '1h' });
 */
export class CacheService {
  readonly name: string;
  private readonly writer: EntryWriter;
  private readonly bulk: BulkReads;

  /** Made by the engine; inject it instead of calling this. */
  constructor(
    private readonly engine: CacheEngine,
    private readonly space: Namespace,
  ) {
    this.name = space.name;
    this.writer = new EntryWriter(engine, space);
    this.bulk = new BulkReads(engine, space, (address, scope) => this.nearby(address, scope));
  }

  /** What the tiers have, stale or not. Never loads. */
  async get<T = unknown>(key: CacheKey): Promise<CachedResponse<T>> {
    const [response] = await this.getMany<T>([key]);
    return response as CachedResponse<T>;
  }

  /** The fresh value in the memory tier, synchronously, or `undefined`. */
  peek<T = unknown>(key: CacheKey): T | undefined {
    const { memory } = this.engine;
    if (memory === undefined) return undefined;
    const local = typeof key === 'string' && isPlain(key) ? key : addressOf(this.space, key).local;
    const value = memory.fresh(this.space.index, local);
    return value === MISS ? undefined : (value as T);
  }

  /**
   * The value, loaded once in the whole fleet if it is not there. Concurrent callers share one run of the loader; a result that is
   * invalidated while it is being loaded answers its callers and is not stored.
   * @throws ColdCacheException if somebody else computes the value and `onCold` or `waitBudget` says not to wait (longer)
   * @throws whatever the loader throws, unless there is a stale value to serve
   */
  getOrSet<T>(key: CacheKey, loader: Loader<T>, options?: LoadOptions): Promise<T> {
    // The hot path: nothing is built before the memory tier has been asked.
    const { memory } = this.engine;
    if (memory !== undefined && typeof key === 'string' && this.engine.requestScope?.() === undefined && isPlain(key)) {
      const value = memory.fresh(this.space.index, key);
      if (value !== MISS) {
        this.space.counters.memoryHits++;
        return Promise.resolve(value as T);
      }
    }
    return this.getOrLoad(key, loader, options);
  }

  private async getOrLoad<T>(key: CacheKey, loader: Loader<T>, options?: LoadOptions): Promise<T> {
    if (this.engine.passThrough) {
      addressOf(this.space, key);
      return loader({ key });
    }
    const found = await this.findOrLoad(key, addressOf(this.space, key), loader, options);
    return found.value.take() as T;
  }

  private async findOrLoad<T>(
    key: CacheKey,
    address: Address,
    loader: Loader<T>,
    options?: LoadOptions,
    onIdle?: () => void,
  ): Promise<Found> {
    const scope = this.engine.requestScope?.();
    const isForced = scope?.forced === true;
    const near = this.nearby(address, scope);
    if (near && this.engine.clock.now() < near.freshUntil && (!isForced || near.tier === 'request')) return near;
    const flight = this.board(address, isForced, onIdle, (own) => ({
      namespace: this.space,
      address,
      plan: planOf(this.space, options),
      flight: own,
      forced: isForced,
      stale: near,
      load: (stale) => loader({ key, stale: stale && { value: stale.value.take() as T } } satisfies LoadContext<T>),
      ...(onIdle && { onIdle }),
    }));
    const found = await flight.promise;
    if (scope) remember(scope, this.space.name, address.local, found);
    return found;
  }

  /** The request and memory tiers. */
  private nearby(address: Address, scope: RequestScope | undefined): Found | undefined {
    const remembered = scope && recall(scope, this.space.name, address.local);
    if (remembered) {
      this.space.counters.requestHits++;
      return remembered;
    }
    if (scope?.forced) return undefined;
    const found = this.engine.memory?.find(this.space.index, address.local);
    if (found && this.engine.clock.now() < found.freshUntil) {
      this.space.counters.memoryHits++;
      if (scope) remember(scope, this.space.name, address.local, found);
    }
    return found;
  }

  /** Joins the flight of this key, or starts one. A forced one never joins what took off earlier. */
  private board(
    address: Address,
    isForced: boolean,
    onIdle: (() => void) | undefined,
    task: (flight: Flight) => FlightTask,
  ): Flight {
    const { flights } = this.space;
    const current = flights.get(address.local);
    if (current && !isForced) {
      this.space.counters.coalesced++;
      onIdle?.();
      return current;
    }
    if (current) current.detached = true;
    const flight = { detached: false } as Flight;
    const planned = task(flight);
    flights.set(address.local, flight);
    flight.promise = this.engine.readThrough.run(planned);
    const land = (): void => {
      if (flights.get(address.local) === flight) flights.delete(address.local);
      flight.promise = LANDED;
    };
    // Also takes a rejection that nobody is left to await.
    flight.promise.then(land, land);
    return flight;
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
    return this.writer.touch(addressOf(this.space, key), lifetimeMs(ttl, 'ttl'));
  }

  /** Removes an entry everywhere; a load under way will not bring it back. `true` if there was one. @throws StoreUnavailableError */
  async delete(key: CacheKey): Promise<boolean> {
    return (await this.deleteMany([key])) > 0;
  }

  /** @throws StoreUnavailableError */
  async deleteMany(keys: readonly CacheKey[]): Promise<number> {
    return this.writer.remove(keys.map((key) => addressOf(this.space, key)));
  }

  async has(key: CacheKey): Promise<boolean> {
    return (await this.get(key)).isFound;
  }

  /** Soft purge: the entry is stale from now on, but still there to be served while it is refreshed. @throws StoreUnavailableError */
  async expire(key: CacheKey): Promise<boolean> {
    return this.writer.expire(addressOf(this.space, key));
  }

  /** Adds to a number atomically; starts from `initial` (0) if there is none. Keeps the entry's lifetime. @throws StoreUnavailableError */
  async increment(key: CacheKey, by = 1, options: EntryOptions & { initial?: number } = {}): Promise<number> {
    const { initial = 0, ...entry } = options;
    for (const [field, number] of [
      ['by', by],
      ['initial', initial],
    ] as const) {
      if (!Number.isFinite(number))
        throw new CacheUsageError('invalid_option', `${field} must be a finite number; got a ${typeof number}`);
    }
    return this.writer.increment(addressOf(this.space, key), by, initial, planOf(this.space, entry));
  }

  /** {@link increment} by the negative. */
  async decrement(key: CacheKey, by = 1, options?: EntryOptions & { initial?: number }): Promise<number> {
    return this.increment(key, -by, options);
  }

  /** Responses in the order of `keys`; what the near tiers lack is read in one operation. */
  async getMany<T = unknown>(keys: readonly CacheKey[]): Promise<Array<CachedResponse<T>>> {
    return this.bulk.getMany(keys);
  }

  /** Stores each entry. Resolves to whether all of them are shared. */
  async setMany(entries: Iterable<readonly [CacheKey, unknown]>, options?: EntryOptions): Promise<boolean> {
    const stored = await Promise.all([...entries].map(([key, value]) => this.set(key, value, options)));
    return stored.every(Boolean);
  }

  /**
   * {@link getOrSet} for many ids: the loader is called once, with exactly the missing ids. Ids it does not return are absent from the
   * result and not stored; ids nobody asked for are ignored. The result keeps the order of `ids`, without doubles.
   * @example await cache.getOrSetMany(ids, async (missing) => new Map((await db.books(missing)).map((b) => [b.id, b])), { key: (id) => ['book', id] })
   */
  async getOrSetMany<I extends string | number, T>(
    ids: Iterable<I>,
    loader: ManyLoader<I, T>,
    options: LoadOptions & { key?: (id: I) => CacheKey } = {},
  ): Promise<Map<I, T>> {
    const { key: keyOf = (id: I): CacheKey => (typeof id === 'string' ? id : [id]), ...load } = options;
    return this.bulk.getOrSetMany(ids, loader, keyOf, (key, loadOne, onIdle) =>
      this.findOrLoad(key, addressOf(this.space, key), loadOne, load, onIdle),
    );
  }

  /** Makes every entry that carries one of the tags a miss, in all namespaces, in one step each. @throws StoreUnavailableError */
  async invalidateTags(tags: readonly string[]): Promise<void> {
    await this.writer.invalidateTags(tags);
  }

  /** Makes every entry under a declared prefix a miss, in one step. @throws CacheUsageError `undeclared_prefix` @throws StoreUnavailableError */
  async deleteByPrefix(prefix: CacheKey): Promise<void> {
    await this.writer.invalidatePrefix(prefix);
  }

  /** Makes every entry of this namespace a miss, in one step; nothing else is touched, locks least of all. @throws StoreUnavailableError */
  async clear(): Promise<void> {
    await this.writer.clear();
  }

  /** @throws CacheUsageError `unknown_namespace` */
  namespace(name: string): CacheService {
    return this.engine.namespace(name);
  }

  /** Where an entry is and why it is, or is not, served. For people; shows no value. */
  async explain(key: CacheKey): Promise<CacheExplanation> {
    return explain(this.engine, this.space, addressOf(this.space, key));
  }

  /** Replaces this namespace's configured stamp: everything stored under another one becomes a miss here. */
  setStamp(stamp: string): void {
    this.engine.setStamp(stamp, this.name);
  }

  /** Counters since the start. */
  stats(): Readonly<CacheCounters> {
    return { ...this.space.counters };
  }
}
