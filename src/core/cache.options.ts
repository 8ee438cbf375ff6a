import type { Duration, Lifetime } from './clock/duration.js';
import type { StampFeed } from './stamp-feeds.js';

/** A data key: a string, or an array of typed parts. `['a', 1]`, `['a', '1']`, `'a:1'` are three different keys. */
export type CacheKey = string | readonly KeyPart[];

/** One part of a key: what can be told apart by type and survives as text. */
export type KeyPart =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | Date
  | readonly KeyPart[]
  | { readonly [name: string]: KeyPart };

/** `shared`: one deep-frozen value for all readers (no copying). `copy`: every reader gets a private, mutable copy. */
export type Isolation = 'shared' | 'copy';

/**
 * What becomes of an invalidation that the store does not acknowledge. `queue`: it holds in this process at once, and is sent again until
 * it is acknowledged. `reject`: the call rejects with StoreUnavailableError and nothing is sent again.
 */
export type WhenDown = 'queue' | 'reject';

/** Options of calls that invalidate. */
export interface InvalidationOptions {
  /** Default: the namespace's (`queue`). */
  whenDown?: WhenDown;
}

/** Options of `setStamp` and `setApplicationStamp`. */
export interface StampOptions extends InvalidationOptions {
  /**
   * How long entries under the stamp of before (not of those before it) may still be served, as stale: they are refreshed like any stale entry,
   * and are never confirmed. Default 0: not at all.
   */
  grace?: Duration;
}

/**
 * Where a stamp comes from. A text, or a function that gives it when the application boots, becomes part of the keys: processes with different
 * ones do not see each other's entries. Each text that an Observable emits is announced to all processes instead, as by `setStamp`.
 */
export type StampSource = string | (() => string | Promise<string>) | StampFeed;

/** How a scan goes through the store. */
export interface ScanOptions {
  /** Ends it between two steps. */
  signal?: AbortSignal;
  /** A step is some 1,000 entries of everything that the store has. Default: to the end. */
  maxSteps?: number;
  /** Between two steps, to leave the store to others. Default 0. */
  pause?: Duration;
  /** Where an earlier scan has stopped. */
  cursor?: string | undefined;
  /** Told after each step. */
  onProgress?: (progress: ScanProgress) => void;
}

/** How far a scan has come. */
export interface ScanProgress {
  readonly steps: number;
  readonly deleted: number;
  /** Keys of more than 100 characters whose readable beginning (40) is too short to tell; they were left alone. */
  readonly undecided: number;
  /** Where to go on; `undefined`: it came to the end. */
  readonly cursor: string | undefined;
}

/** What a caller on a cold key does while somebody else computes it. */
export type OnCold = 'wait' | 'throw' | 'load';

/** How one entry is kept: options of `set`, `add` and their like. */
export interface EntryOptions {
  /** Hard lifetime: after it the entry does not exist. `0` stores nothing. Default: the namespace's. */
  ttl?: Lifetime;
  /** Soft lifetime: after it the entry is stale, i.e. to be refreshed but still good enough to serve. Default: `ttl`. */
  freshFor?: Lifetime;
  /** Labels; invalidating one makes every entry that carries it a miss. At most 32. */
  tags?: readonly string[];
}

/** A function of the value just loaded. Written apart from the loader, it may name a narrower type than is known there. */
type Judge<T, S> = { judge(value: T): S }['judge'];

/** A fixed setting, or one that depends on the value just loaded. */
export type OfValue<T, S> = S | Judge<T, S>;

/**
 * How a value is loaded, kept and survived. Each option of a call wins over that of its `@Cached` method, that over its namespace's, and
 * that over the module's `defaults`.
 */
export interface LoadOptions<T = unknown> {
  /** Hard lifetime: after it the entry does not exist. `0` stores nothing. Default: the namespace's (30 min). */
  ttl?: OfValue<T, Lifetime>;
  /** Soft lifetime: after it the entry is stale, i.e. to be refreshed but still good enough to serve. Default: `ttl`. */
  freshFor?: OfValue<T, Lifetime>;
  /** `ttl` of a loaded `null` or `undefined`. Default: `ttl`. */
  negativeTtl?: Lifetime;
  /** Shortens both lifetimes by a random part of up to this fraction, 0 to 1, so that entries made together do not end together. Default 0. */
  jitter?: number;
  /** Labels; invalidating one makes every entry that carries it a miss. At most 32. */
  tags?: OfValue<T, readonly string[]>;
  /** `false` answers the callers and stores nothing. Default: everything is stored. */
  shouldCache?: Judge<T, boolean>;

  /**
   * How long the caller that refreshes a stale value waits before it, too, is given that value while the refresh goes on. `0`: always in
   * the background. Default `'forever'`: it waits for the new value. Everybody else is given the stale value at once in any case.
   */
  softTimeout?: Lifetime;
  /** How long a loader may run. Then `context.signal` is aborted and the load has failed with LoadTimeoutError. Default `'forever'`. */
  hardTimeout?: Lifetime;
  /** Refreshes in the background once an entry is older than this fraction of its `freshFor`, 0 to 1. Default: not before it is stale. */
  eagerRefresh?: number;

  /** Whether a stale value is served while somebody else loads the new one. `false`: the caller acts as on a cold key. Default `true`. */
  staleWhileLoading?: boolean;
  /** Whether a stale value is served when its loader fails; a function decides by the error. Default `true`. */
  staleIfError?: boolean | ((error: unknown) => boolean);
  /** After a failed refresh nobody, in any process, tries again for this long. Default 5 s. */
  backOff?: Duration;
  /** How long a failure without a stale value is remembered by this process and given to callers instead of a new attempt. Default 0. */
  errorTtl?: Duration | ((error: unknown) => Duration);
  /** Told of every failed load, also of those whose callers were given a stale value. */
  onLoadError?: (error: unknown, load: FailedLoad) => void;

  /** What a caller does on a cold key that somebody else computes. Default `'wait'`: at most `waitBudget`, then ColdCacheException. */
  onCold?: OnCold;
  /** How long to wait for somebody else who computes the key, or for one of `maxConcurrentLoads`. Default 10 s. */
  waitBudget?: Duration;
  /** How long a dead loader blocks its key; renewed while it is alive. Default 5 s. */
  lease?: Duration;
}

/** What `onLoadError` is told besides the error. */
export interface FailedLoad {
  readonly namespace: string;
  /** As encoded. */
  readonly key: string;
  /** Whether callers were given a stale value instead. */
  readonly isServedStale: boolean;
}

/** {@link LoadOptions} of one call. */
export interface CallOptions<T = unknown> extends LoadOptions<T> {
  /** Loads anew whatever there is, and replaces it. Default `false`. */
  forceFresh?: boolean;
  /** The caller goes away when it is aborted. The load itself is aborted only when all of its callers have gone. */
  signal?: AbortSignal;
}

/** What a loader is told, and what it may say about its value. */
export interface LoadContext<T = unknown> {
  readonly key: CacheKey;
  /** The stale value that would be replaced, if there is one. */
  readonly stale?: StaleValue<T> | undefined;
  /** Aborted when the load has run for `hardTimeout`, when all callers have gone, or when the application ends. */
  readonly signal: AbortSignal;
  /** Overrides both lifetimes of this value. `0` stores nothing. */
  setTtl(ttl: Lifetime, freshFor?: Lifetime): void;
  /** Labels besides those of the options, at most 32 a load. */
  setTags(tags: readonly string[]): void;
  /** Answers the callers and stores nothing. */
  skip(): void;
  /**
   * For a conditional request that found nothing new: gives the stale value, to be returned, a new life.
   * @throws CacheUsageError `nothing_stale`
   * @example if (response.status === 304) return context.notModified();
   */
  notModified(): T;
}

/** The entry that a load is to replace. */
export interface StaleValue<T> {
  readonly value: T;
  /** Since it was loaded. */
  readonly ageMs: number;
}

/** Computes a value on a miss. `S`: that of before, in `context.stale`; apart from `T`, so that the compiler can tell `T` by what is returned. */
export type Loader<T, S = T> = (context: LoadContext<S>) => T | Promise<T>;

/** Receives exactly the ids that are missing; ids it leaves out are not stored and are absent from the result. */
export type ManyLoader<I, T> = (missing: I[]) => Loaded<I, T> | Promise<Loaded<I, T>>;
/** What a {@link ManyLoader} has found, by id. */
export type Loaded<I, T> = ReadonlyMap<I, T> | Iterable<readonly [I, T]>;

/** One named cache: the defaults of its calls, and how its values are kept. */
export interface NamespaceOptions extends LoadOptions {
  name: string;
  /** Carried by every entry, besides those of the call. */
  tags?: readonly string[];
  /** Whether a request remembers what it has read here. Default `true`. */
  requestTier?: boolean;
  /** Loaders that may run at the same time in this process; the others queue for at most `waitBudget`. Default: any number. */
  maxConcurrentLoads?: number;
  /** Raise it when the shape of the values changes: entries of other versions become misses. Default 1. */
  schemaVersion?: number | string;
  /** What else decides whether its entries may still be read: the version of their upstream, say. Default none. */
  stamp?: StampSource;
  /** `grace` of the changes that an Observable in `stamp` announces. Default 0. */
  stampGrace?: Duration;
  /** What becomes of invalidations while the store is down. Default `queue`. */
  whenDown?: WhenDown;
  /** Default `shared`. */
  isolation?: Isolation;
  /** How values become bytes. `json` keeps Date, Map, Set, BigInt, Buffer, undefined, NaN and more; `bytes` takes and gives Uint8Array only. Default `json`. */
  codec?: 'json' | 'bytes';
  /** Key prefixes that `deleteByPrefix` can invalidate in one step, e.g. `['course_list:', ['course']]`. At most 16. */
  prefixes?: readonly CacheKey[];
}
