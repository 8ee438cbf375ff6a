import type { Duration, Lifetime } from './clock/duration.js';

/** A data key: a string, or an array of typed parts. `['a', 1]`, `['a', '1']`, `'a:1'` are three different keys. */
export type CacheKey = string | readonly KeyPart[];

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

/** What a caller on a cold key does while somebody else computes it. */
export type OnCold = 'wait' | 'throw' | 'load';

export interface EntryOptions {
  /** Hard lifetime: after it the entry does not exist. `0` stores nothing. Default: the namespace's. */
  ttl?: Lifetime;
  /** Soft lifetime: after it the entry is stale, i.e. to be refreshed but still good enough to serve. Default: `ttl`. */
  freshFor?: Lifetime;
  /** Labels; invalidating one makes every entry that carries it a miss. At most 32. */
  tags?: readonly string[];
}

export interface LoadOptions extends EntryOptions {
  /** Default `'wait'`: at most `waitBudget`, then ColdCacheException. */
  onCold?: OnCold;
  /** How long to wait for another process that computes the key. Default 10 s. */
  waitBudget?: Duration;
  /** How long a dead loader blocks its key; renewed while it is alive. Default 5 s. */
  lease?: Duration;
}

/** What a loader is told. */
export interface LoadContext<T = unknown> {
  readonly key: CacheKey;
  /** The stale value that would be replaced, if there is one. */
  readonly stale?: { readonly value: T } | undefined;
}

export type Loader<T> = (context: LoadContext<T>) => T | Promise<T>;

/** Receives exactly the ids that are missing; ids it leaves out are not stored and are absent from the result. */
export type ManyLoader<I, T> = (missing: I[]) => Loaded<I, T> | Promise<Loaded<I, T>>;
export type Loaded<I, T> = ReadonlyMap<I, T> | Iterable<readonly [I, T]>;

export interface NamespaceOptions extends LoadOptions {
  name: string;
  /** Raise it when the shape of the values changes: entries of other versions become misses. Default 1. */
  schemaVersion?: number | string;
  /** Default `shared`. */
  isolation?: Isolation;
  /** How values become bytes. `json` keeps Date, Map, Set, BigInt, Buffer, undefined, NaN and more; `bytes` takes and gives Uint8Array only. Default `json`. */
  codec?: 'json' | 'bytes';
  /** Key prefixes that `deleteByPrefix` can invalidate in one step, e.g. `['course_list:', ['course']]`. At most 16. */
  prefixes?: readonly CacheKey[];
}
