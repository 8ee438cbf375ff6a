import type { LoadOptions, NamespaceOptions, StampSource } from './core/cache.options.js';
import type { Duration, Lifetime } from './core/clock/duration.js';
import type { EntityDefinition } from './invalidation/define-entity.js';
import type { PurgeOptions } from './invalidation/purge/purge.options.js';
import type { LockStore } from './locks/contract/lock-store.js';
import type { LockOptions } from './locks/lock.options.js';
import type { MapLockException } from './locks/nest/lock-calls.js';
import type { ForceMissOptions } from './request-cache/force-miss.js';
import type { ResponseCacheOptions } from './http/policy/response-cache.policies.js';
import type { CacheStore } from './stores/contract/cache-store.js';

/** A value, or a function that gives it when the application boots. */
export type Resolvable<T> = T | (() => T | Promise<T>);

/** What `TieredCacheModule.forRoot()` takes. Every field is optional; with none of them set the cache works in process. */
export interface TieredCacheOptions {
  /**
   * Put in front of every key in the remote store, so that applications can share a server: letters, digits and `_ . : -`.
   * For stores named by URL; a store built elsewhere gets its prefix there. Default `tc`.
   */
  prefix?: string;

  /** What decides whether stored data may still be read: when any part changes, everything stored before is a miss. */
  version?: VersionOptions;

  /** For namespaces that do not say otherwise. Default: `ttl: '30m'`, never stale before it expires. */
  defaults?: NamespaceDefaults;

  /** Namespaces besides `default`, reached through `cache.namespace(name)`. To inject them use `forFeature()` instead. */
  namespaces?: readonly NamespaceOptions[];

  /** Lifetimes by namespace that win over those in code; what `CACHE_TTL_<NAME>` sets. Names match in any case, `-`, `.` and `_` alike. */
  lifetimes?: Readonly<Record<string, LifetimeOptions>>;

  /** The tier inside this process, shared by all namespaces, or `false` for none. */
  memory?: MemoryOptions | false;

  /**
   * Whether a request remembers what it has read. `true` touches AsyncLocalStorage only where something in the application can read through the
   * cache; `false` never. Default `true`.
   */
  requestTier?: boolean;

  /**
   * What all processes share: a store (`redis({ url })` of `nestjs-tiered-cache/redis`), or a URL: `memory://`, `redis://`, `rediss://`,
   * `none` (kill switch). Default `memory://`: nothing is shared.
   */
  remote?: Resolvable<CacheStore | string>;

  /** How long a call may wait for the remote store before it goes on without. Default 250 ms. */
  deadline?: Duration;

  /** Where the locks of CacheLockService are, apart from the cache, and how they are taken. */
  locks?: LocksOptions;

  /** Who may skip the memory and remote tiers for one request. Default: nobody. */
  forceMiss?: ForceMissOptions;

  /** What holds for all cached responses (`@CachePage()`, `@CacheResponse()`). */
  responses?: ResponsesOptions;

  /** By what lists of entities are filtered and sorted (`defineEntity()`), so that a change takes no more of them than it must. */
  entities?: readonly EntityDefinition[];

  /** Caches in front of the application, which are told of every tag that is invalidated. Default: none. */
  purge?: PurgeOptions;

  /** `false`: every call goes through to its loader, nothing is read or stored. Default `true`. */
  enabled?: Resolvable<boolean>;
}

/** What holds for all cached responses. */
export interface ResponsesOptions extends ResponseCacheOptions {
  /** What this cache is called in `Cache-Status` (RFC 9211). Default `tiered-cache`. */
  readonly name?: string;
  /**
   * The header that tells caches in front of the application the labels of a public page, so that they can be purged by them:
   * `Surrogate-Key` (Fastly), `Cache-Tag` (Cloudflare, Akamai), `xkey` (Varnish). Those caches should take it off. Default: none is sent.
   */
  readonly surrogateKeys?: 'Surrogate-Key' | 'Cache-Tag' | 'xkey' | (string & {});
  /**
   * Whether hits in memory are sent by the last guard of a handler, where no interceptor stands outside of the cache's: twice as fast. Nest's
   * call of the handler never ends then; `false` for tools that wrap it and wait for its end (the Nest instrumentation of OpenTelemetry).
   * Default `true`.
   */
  readonly answerInGuard?: boolean;
}

/** What the stamp in every data key is made of, besides the namespace's `schemaVersion`. */
export interface VersionOptions {
  /** The application's version. Default: `version` of the package.json nearest to the working directory. `''` for none. */
  app?: Resolvable<string>;
  /** Build id or commit; `CACHE_BUILD_ID`. Default none. */
  build?: Resolvable<string>;
  /** Anything; `CACHE_KEY_VERSION_STAMP`. What an Observable emits is announced as by `setApplicationStamp`. Default none. */
  stamp?: StampSource;
  /** `grace` of the changes that an Observable in `stamp` announces. Default 0. */
  grace?: Duration;
}

/** `lease`, `maxHold`, `wait` and `maxQueue` are for calls that do not say otherwise. */
export interface LocksOptions extends Pick<LockOptions, 'lease' | 'maxHold' | 'wait' | 'maxQueue'> {
  /**
   * A lock store (`redisLocks({ url })` of `nestjs-tiered-cache/redis`), or a URL: `memory://`, `redis://`, `rediss://`,
   * `memcached://`, `memcacheds://`. It is checked at boot: one that may drop locks is refused. Default: the server of `remote`, checked when the first lock is taken; in process where
   * that keeps no locks.
   */
  store?: Resolvable<LockStore | string>;
  /** For stores named by URL. Applications with different prefixes do not exclude each other. Default: the module's `prefix`. */
  prefix?: string;
  /** How long one request to the lock store may take, and how long one that cannot be reached is tried. Default 750 ms. */
  deadline?: Duration;
  /** Takes a store that drops locks under memory pressure, too: for locks that save work and guard nothing. Default `false`. */
  acceptEviction?: boolean;
  /**
   * Takes a store that loses locks by its nature, too (Memcached): for locks that save work and guard nothing. Whether it evicts is then not
   * asked. Default `false`.
   */
  acceptLossy?: boolean;
  /** What is thrown where a lock of `@CacheLock()` is refused: another exception, or the one it is given. Its headers are set already. */
  mapException?: MapLockException;
}

/** Bounds of the memory tier. */
export interface MemoryOptions {
  /** Default 10,000. */
  maxEntries?: number;
  /** Encoded bytes plus 128 for each entry. Default 64 MiB. */
  maxBytes?: number;
  /**
   * How long an entry may be served while changes made by other processes cannot be heard. The *bus* is what tells of them: on Redis
   * invalidation messages, which stop when the connection is lost. Default 5 s.
   */
  maxStaleWithoutBus?: Duration;
}

/** Lifetimes of a namespace. */
export interface LifetimeOptions {
  /** Hard lifetime. */
  ttl?: Lifetime;
  /** Soft lifetime: after it the entry is stale. */
  freshFor?: Lifetime;
}

/** What namespaces may leave out. */
export type NamespaceDefaults = Omit<LoadOptions, 'tags'> & Pick<NamespaceOptions, 'isolation' | 'codec' | 'whenDown'>;

/** For `forRootAsync({ useClass | useExisting })`. */
export interface TieredCacheOptionsFactory {
  createTieredCacheOptions(): TieredCacheOptions | Promise<TieredCacheOptions>;
}
