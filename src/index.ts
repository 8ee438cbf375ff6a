export { TieredCacheModule } from './tiered-cache.module.js';
export { tieredCacheConfig } from './tiered-cache.config.js';
export { optionsFromEnvironment } from './tiered-cache.environment.js';
export type {
  LifetimeOptions,
  LocksOptions,
  MemoryOptions,
  NamespaceDefaults,
  Resolvable,
  TieredCacheOptions,
  TieredCacheOptionsFactory,
  VersionOptions,
} from './tiered-cache.options.js';
export { InjectCache } from './inject-cache.decorator.js';
export { getCacheToken } from './tiered-cache.constants.js';

export { CacheService } from './core/cache.service.js';
export { CachedResponse } from './core/cached-response.js';
export type {
  CacheKey,
  CallOptions,
  EntryOptions,
  FailedLoad,
  Isolation,
  KeyPart,
  LoadContext,
  Loaded,
  Loader,
  LoadOptions,
  ManyLoader,
  NamespaceOptions,
  OfValue,
  OnCold,
  StaleValue,
} from './core/cache.options.js';
export type { CacheExplanation } from './core/cache-explanation.js';
export type { CacheCounters } from './core/namespace.js';
export type { Tier } from './core/tiers/found.js';
export type { Duration, Lifetime } from './core/clock/duration.js';
export {
  CachedResponseError,
  CacheUsageError,
  ColdCacheError,
  LoadTimeoutError,
  StoreUnavailableError,
  TieredCacheError,
} from './core/errors/cache.error.js';

export { ColdCacheException } from './functions/cold-cache.exception.js';

export { CacheLockService } from './locks/cache-lock.service.js';
export type { LockInspection } from './locks/cache-lock.service.js';
export type { Lease, LeaseReleaseOutcome } from './locks/lease.js';
export { allOf } from './locks/lock-key.js';
export type { LockTarget } from './locks/lock-key.js';
export { LockLostError, LockStoreUnavailableError, ResourceLockedError } from './locks/lock.errors.js';
export type { LossReason } from './locks/lock.errors.js';
export type { LockOptions } from './locks/lock.options.js';
export type { LockStore } from './locks/contract/lock-store.js';
export { MemoryLockStore } from './stores/memory/memory.lock-store.js';
export type { MemoryLockStoreOptions } from './stores/memory/memory.lock-store.js';

export { RequestCacheService } from './request-cache/request-cache.service.js';
export type { RequestCache } from './request-cache/request-cache.js';
export { runInCacheScope } from './request-cache/run-in-cache-scope.js';
export { WithRequestCache } from './request-cache/with-request-cache.decorator.js';
export type { ForceMissContext, ForceMissOptions, ForceMissRequest } from './request-cache/force-miss.js';

export { MemoryStore } from './stores/memory/memory.store.js';
export type { MemoryDatabase, MemoryDatabaseOptions, MemoryStoreOptions } from './stores/memory/memory.store.js';
export { NoneStore } from './stores/none/none.store.js';
export type { CacheStore } from './stores/contract/cache-store.js';
