import type { ModuleMetadata, Provider } from '@nestjs/common';
import { APP_FILTER, DiscoveryService, HttpAdapterHost } from '@nestjs/core';
import type { CacheEngine } from './core/cache-engine.js';
import { CacheService } from './core/cache.service.js';
import { createEngine, createRemoteStore } from './engine-factory.js';
import { CacheWarmer } from './functions/cache-warmer.js';
import { ColdCacheFilter } from './functions/cold-cache.filter.js';
import { FunctionRegistry } from './functions/function-registry.js';
import { ResponseCachePolicies } from './http/policy/response-cache.policies.js';
import { ResponseCaches } from './http/response-caches.js';
import { EntityInvalidationService } from './invalidation/entity-invalidation.service.js';
import { EntityRules } from './invalidation/entity-rules.js';
import { DeclaredInvalidations } from './invalidation/methods/declared-invalidations.js';
import { PurgeService } from './invalidation/purge/purge.service.js';
import { TagInvalidations } from './invalidation/tag-invalidations.js';
import { createLockEngine } from './lock-factory.js';
import { CacheLockService } from './locks/cache-lock.service.js';
import { IdempotencyRecords } from './locks/idempotency-records.js';
import type { LockEngine } from './locks/lock-engine.js';
import { LockCalls } from './locks/nest/lock-calls.js';
import { NamespaceSettings } from './namespace-settings.js';
import { RequestCacheService } from './request-cache/request-cache.service.js';
import { RequestContext } from './request-cache/request-context.js';
import {
  DEFAULT_NAMESPACE,
  getCacheToken,
  TIERED_CACHE_ENGINE,
  TIERED_CACHE_LOCKS,
  TIERED_CACHE_STORE,
} from './tiered-cache.constants.js';
import type { TieredCacheOptions } from './tiered-cache.options.js';
import { VALID_OPTIONS, validOptions } from './valid-options.provider.js';

/** What the module is made of, each from the options or from others of these. */
export const tieredCacheProviders: Provider[] = [
  validOptions,
  {
    provide: RequestContext,
    inject: [VALID_OPTIONS],
    useFactory: ({ requestTier = true, forceMiss }: TieredCacheOptions) =>
      new RequestContext({ requestTier, forceMiss }),
  },
  {
    provide: NamespaceSettings,
    inject: [VALID_OPTIONS],
    useFactory: (options: TieredCacheOptions) => new NamespaceSettings(options),
  },
  {
    provide: TIERED_CACHE_STORE,
    inject: [VALID_OPTIONS],
    useFactory: createRemoteStore,
  },
  {
    provide: TIERED_CACHE_ENGINE,
    inject: [VALID_OPTIONS, NamespaceSettings, RequestContext, TIERED_CACHE_STORE, PurgeService],
    useFactory: createEngine,
  },
  {
    provide: TIERED_CACHE_LOCKS,
    inject: [VALID_OPTIONS, TIERED_CACHE_STORE],
    useFactory: createLockEngine,
  },
  {
    provide: CacheLockService,
    inject: [TIERED_CACHE_LOCKS, VALID_OPTIONS, RequestContext],
    useFactory: (engine: LockEngine, { locks }: TieredCacheOptions, context: RequestContext) =>
      new CacheLockService(engine, locks, context.runLocked),
  },
  {
    provide: LockCalls,
    inject: [CacheLockService, VALID_OPTIONS, { token: HttpAdapterHost, optional: true }],
    useFactory: (service: CacheLockService, { locks }: TieredCacheOptions, host: HttpAdapterHost | undefined) =>
      new LockCalls(service, host, locks?.mapException),
  },
  {
    provide: IdempotencyRecords,
    inject: [TIERED_CACHE_LOCKS],
    useFactory: (engine: LockEngine) => new IdempotencyRecords(engine),
  },
  {
    provide: CacheService,
    inject: [TIERED_CACHE_ENGINE],
    useFactory: (engine: CacheEngine) => engine.namespace(DEFAULT_NAMESPACE),
  },
  { provide: getCacheToken(DEFAULT_NAMESPACE), useExisting: CacheService },
  { provide: APP_FILTER, useClass: ColdCacheFilter },
  {
    provide: EntityInvalidationService,
    inject: [TIERED_CACHE_ENGINE, EntityRules],
    useFactory: (engine: CacheEngine, rules: EntityRules) =>
      new EntityInvalidationService(engine.namespace(DEFAULT_NAMESPACE), rules),
  },
  {
    provide: TagInvalidations,
    inject: [CacheService],
    useFactory: (cache: CacheService) => new TagInvalidations(cache),
  },
  {
    provide: EntityRules,
    inject: [VALID_OPTIONS],
    useFactory: ({ entities }: TieredCacheOptions) => new EntityRules(entities),
  },
  {
    provide: DeclaredInvalidations,
    inject: [TIERED_CACHE_ENGINE, EntityRules],
    useFactory: (engine: CacheEngine, rules: EntityRules) =>
      new DeclaredInvalidations(engine.namespace(DEFAULT_NAMESPACE), rules),
  },
  {
    provide: PurgeService,
    inject: [VALID_OPTIONS],
    useFactory: ({ purge }: TieredCacheOptions) => new PurgeService(purge),
  },
  {
    provide: RequestCacheService,
    inject: [RequestContext],
    useFactory: (context: RequestContext) => new RequestCacheService(context),
  },
  {
    provide: CacheWarmer,
    inject: [TIERED_CACHE_ENGINE, DiscoveryService],
    useFactory: (engine: CacheEngine, discovery: DiscoveryService) => new CacheWarmer(engine, discovery),
  },
  {
    provide: ResponseCachePolicies,
    inject: [VALID_OPTIONS],
    useFactory: ({ responses }: TieredCacheOptions) => new ResponseCachePolicies(responses),
  },
  {
    provide: ResponseCaches,
    inject: [
      ResponseCachePolicies,
      TIERED_CACHE_ENGINE,
      { token: HttpAdapterHost, optional: true },
      NamespaceSettings,
      VALID_OPTIONS,
    ],
    useFactory: (
      policies: ResponseCachePolicies,
      engine: CacheEngine,
      host: HttpAdapterHost | undefined,
      settings: NamespaceSettings,
      { responses }: TieredCacheOptions,
    ) =>
      new ResponseCaches(
        policies,
        engine,
        host,
        (namespace) => settings.complete(namespace),
        responses?.name ?? 'tiered-cache',
        responses?.surrogateKeys,
      ),
  },
  {
    provide: FunctionRegistry,
    inject: [TIERED_CACHE_ENGINE],
    useFactory: (engine: CacheEngine) => new FunctionRegistry(engine),
  },
];

/** What applications, and the module's own decorators in their modules, may inject. */
export const exportedProviders: NonNullable<ModuleMetadata['exports']> = [
  TIERED_CACHE_ENGINE,
  NamespaceSettings,
  CacheService,
  CacheLockService,
  LockCalls,
  IdempotencyRecords,
  getCacheToken(DEFAULT_NAMESPACE),
  EntityInvalidationService,
  TagInvalidations,
  EntityRules,
  DeclaredInvalidations,
  PurgeService,
  RequestCacheService,
  CacheWarmer,
  ResponseCaches,
  FunctionRegistry,
];
