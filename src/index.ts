export { TieredCacheModule } from './tiered-cache.module.js';
export { tieredCacheConfig } from './tiered-cache.config.js';
export { optionsFromEnvironment } from './tiered-cache.environment.js';
export type {
  LifetimeOptions,
  LocksOptions,
  MemoryOptions,
  NamespaceDefaults,
  Resolvable,
  ResponsesOptions,
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
  InvalidationOptions,
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
  ScanOptions,
  ScanProgress,
  StaleValue,
  StampOptions,
  StampSource,
  WhenDown,
} from './core/cache.options.js';
export type { StampFeed } from './core/stamp-feeds.js';
export type { CacheExplanation } from './core/cache-explanation.js';
export type { CacheCounters } from './core/namespace.js';
export type { Tier } from './core/tiers/found.js';
export type { Duration, Lifetime } from './core/clock/duration.js';
export {
  CachedResponseError,
  CacheUsageError,
  LoadTimeoutError,
  StoreUnavailableError,
  TieredCacheError,
} from './core/errors/cache.error.js';

export { Cached } from './functions/cached.decorator.js';
export type { CachedOptions, CachedReturn } from './functions/cached.options.js';
export { cachedMethod, type CachedMethod } from './functions/cached-method.js';
export { loadContext } from './functions/load-context.js';
export { CacheWarmer } from './functions/cache-warmer.js';
export { ColdCacheException } from './functions/cold-cache.exception.js';
export { defineStateCache, type StateCacheDefinition, type StateCacheOf } from './functions/define-state-cache.js';
export { InjectStateCache } from './functions/inject-state-cache.decorator.js';
export type { SchemaIssue, SchemaResult, StandardSchema } from './functions/standard-schema.js';
export { StateCache } from './functions/state-cache.js';
export type {
  StateCacheCounters,
  StateCacheOptions,
  StateEntry,
  StateInput,
  StateSchemas,
  StateValue,
  StateWrite,
  StateWriteOptions,
} from './functions/state-cache.options.js';
export { WarmUp, type WarmUpMethodOptions } from './functions/warm-up.decorator.js';
export type { WarmUpOptions, WarmUpRun, WarmUpSchedule, WarmUpStatus } from './functions/warm-up.options.js';

export { CachePage } from './http/policy/cache-page.decorator.js';
export { CacheResponse } from './http/policy/cache-response.decorator.js';
export { NoCache } from './http/policy/no-cache.decorator.js';
export { ResponseCacheInterceptor } from './http/response-cache.interceptor.js';
export type {
  Answer as PageAnswer,
  KeyContext,
  OfContext,
  ResponseCachePolicy,
} from './http/policy/response-cache.policy.js';
export type { RequestView } from './http/policy/request-view.js';
export type { KeyComponent } from './http/keys/key-component.js';
export { byAccept, byCookies, byHeaders, byIp, byLocale } from './http/keys/header.components.js';
export { byVersion, custom } from './http/keys/custom.components.js';
export { byParams, byRoute, byUrl } from './http/keys/route.components.js';
export { byPagination, byQuery } from './http/keys/query.components.js';
export { byTenant, byUser } from './http/keys/principal.components.js';
export { ColdCacheFilter } from './functions/cold-cache.filter.js';
export type { ColdCacheMessage } from './functions/cold-cache.filter.js';

export { defineEntity, EntityDefinition, type EntityRule, type ListContents } from './invalidation/define-entity.js';
export type { EntityChange, EntityId, EntityRow } from './invalidation/entity-change.js';
export { EntityInvalidationService } from './invalidation/entity-invalidation.service.js';
export { entityTags } from './invalidation/entity-tags.js';
export { InvalidatesCache } from './invalidation/methods/invalidates-cache.decorator.js';
export type { ChangedEntity, InvalidatesCacheOptions } from './invalidation/methods/invalidates-cache.options.js';
export { purgeByHeader, type PurgeByHeaderOptions } from './invalidation/purge/purge-by-header.js';
export { purgeByJson, type PurgeByJsonOptions } from './invalidation/purge/purge-by-json.js';
export type { PurgeOptions } from './invalidation/purge/purge.options.js';
export type { PurgeCounters } from './invalidation/purge/purge-queue.js';
export { PurgeService } from './invalidation/purge/purge.service.js';
export type { PurgeSink } from './invalidation/purge/purge-sink.js';
export { surrogateKey } from './http-semantics/fields/surrogate-keys.js';

export { CacheLockService } from './locks/cache-lock.service.js';
export type { LockInspection } from './locks/cache-lock.service.js';
export type { LeaseReleaseOutcome } from './locks/lease.js';
export { allOf } from './locks/lock-key.js';
export type { LockTarget } from './locks/lock-key.js';
export { LockLostError, LockStoreUnavailableError, ResourceLockedError } from './locks/lock.errors.js';
export type { LossReason } from './locks/lock.errors.js';
export type { LockOptions } from './locks/lock.options.js';
export { CacheLock } from './locks/nest/cache-lock.decorator.js';
export { CacheLockGuard } from './locks/nest/cache-lock.guard.js';
export { CacheLockInterceptor } from './locks/nest/cache-lock.interceptor.js';
export type { CacheLockOptions } from './locks/nest/cache-lock.options.js';
export { Idempotent } from './locks/nest/idempotent.decorator.js';
export { IdempotentGuard } from './locks/nest/idempotent.guard.js';
export { IdempotentInterceptor } from './locks/nest/idempotent.interceptor.js';
export type { IdempotentOptions } from './locks/nest/idempotent.options.js';
export { IdempotencyException, type IdempotencyRefusal } from './locks/nest/idempotency.exception.js';
export { Lease } from './locks/nest/lease.decorator.js';
export type { MapLockException } from './locks/nest/lock-calls.js';
export { LockMessageFilter, type LockMessage } from './locks/nest/lock-message.filter.js';
export { LockRefusedException, type LockRefusal } from './locks/nest/lock-refused.exception.js';
export type { LockKeyContext, LockRouteKey } from './locks/nest/lock-route-key.js';
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
export { freshUntilOf, sameFrame, type CacheStore } from './stores/contract/cache-store.js';
