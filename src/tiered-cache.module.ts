import { Inject, Module, Optional } from '@nestjs/common';
import type {
  BeforeApplicationShutdown,
  DynamicModule,
  NestModule,
  OnApplicationShutdown,
  OnModuleInit,
} from '@nestjs/common';
import {
  ApplicationConfig,
  DiscoveryModule,
  DiscoveryService,
  HttpAdapterHost,
  MetadataScanner,
  ModulesContainer,
} from '@nestjs/core';
import type { NamespaceOptions } from './core/cache.options.js';
import type { CacheEngine } from './core/cache-engine.js';
import { CacheService } from './core/cache.service.js';
import { checkCachedMethods } from './functions/check-cached-methods.js';
import { FunctionRegistry } from './functions/function-registry.js';
import { keepExpressShapes } from './http/express-shapes.js';
import { versioningOf } from './http/lane/lane-policy.js';
import { placeGuards } from './http/place-guards.js';
import { checkPageParameters } from './http/policy/check-page-parameters.js';
import { noteControllerPlaces } from './http/policy/controller-places.js';
import { noteInjectedRequests } from './http/policy/injected-request.js';
import { documentCachedAnswers } from './http/policy/document-cached-answers.js';
import { ResponseCaches } from './http/response-caches.js';
import { InjectedRequests } from './injected-parts.js';
import { checkDeclaredMethods } from './invalidation/methods/declared-methods.js';
import { DeclaredInvalidations } from './invalidation/methods/declared-invalidations.js';
import { PurgeService } from './invalidation/purge/purge.service.js';
import { checkLocks } from './lock-factory.js';
import { IdempotencyRecords } from './locks/idempotency-records.js';
import type { LockEngine } from './locks/lock-engine.js';
import { checkIdempotentRoutes } from './locks/nest/check-idempotent-routes.js';
import { checkLockRoutes } from './locks/nest/check-lock-routes.js';
import { documentLockAnswers } from './locks/nest/document-lock-answers.js';
import { NamespaceSettings } from './namespace-settings.js';
import { fail } from './option-checks.js';
import { forceMissWish, type ForceMissRequest } from './request-cache/force-miss.js';
import { areInjected } from './request-cache/are-injected.js';
import { HandOuts } from './request-cache/hand-outs.js';
import { mountRequestContext } from './request-cache/mount-request-context.js';
import { OwnServices } from './request-cache/own-services.js';
import { RequestCacheService } from './request-cache/request-cache.service.js';
import { RequestContext } from './request-cache/request-context.js';
import { isCacheToken, TIERED_CACHE_ENGINE, TIERED_CACHE_LOCKS } from './tiered-cache.constants.js';
import { TieredCacheFeatureModule } from './tiered-cache.feature-module.js';
import {
  ConfigurableModuleClass,
  type ASYNC_OPTIONS_TYPE,
  type OPTIONS_TYPE,
} from './tiered-cache.module-definition.js';
import type { TieredCacheOptions } from './tiered-cache.options.js';
import { exportedProviders, tieredCacheProviders } from './tiered-cache.providers.js';
import { ARE_OPTIONS_ASKED_FOR, VALID_OPTIONS } from './valid-options.provider.js';

/** Who has one of these, or a namespace, can read through the request tier. State caches have the engine. */
const READ_THROUGH: readonly unknown[] = [TIERED_CACHE_ENGINE, CacheService, FunctionRegistry, RequestCacheService];

/** How long loads and locks under way may take to end once nothing else is running. */
const DRAIN_MS = 5000;

/**
 * The cache of an application. Importing it needs no options and no server.
 * @example
 * imports: [TieredCacheModule.forRoot(), TieredCacheModule.forFeature([{ name: 'books', ttl: '5m' }])]
 */
@Module({
  imports: [DiscoveryModule],
  providers: tieredCacheProviders,
  exports: exportedProviders,
})
export class TieredCacheModule
  extends ConfigurableModuleClass
  implements NestModule, OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown
{
  private readonly services: OwnServices;
  private readonly handOuts: HandOuts | undefined;

  constructor(
    @Inject(VALID_OPTIONS) private readonly options: TieredCacheOptions,
    @Inject(TIERED_CACHE_ENGINE) private readonly engine: CacheEngine,
    @Inject(TIERED_CACHE_LOCKS) private readonly locks: LockEngine,
    @Inject(IdempotencyRecords) private readonly records: IdempotencyRecords,
    @Inject(NamespaceSettings) private readonly settings: NamespaceSettings,
    @Inject(RequestContext) private readonly context: RequestContext,
    @Inject(FunctionRegistry) private readonly functions: FunctionRegistry,
    @Inject(DeclaredInvalidations) private readonly invalidations: DeclaredInvalidations,
    @Inject(PurgeService) private readonly purges: PurgeService,
    @Inject(ResponseCaches) private readonly responses: ResponseCaches,
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(MetadataScanner) private readonly scanner: MetadataScanner,
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Optional() @Inject(HttpAdapterHost) private readonly host?: HttpAdapterHost,
  ) {
    super();
    this.services = new OwnServices(
      this.modules,
      [TieredCacheModule, TieredCacheFeatureModule],
      (token) => isCacheToken(token) || READ_THROUGH.includes(token),
    );
    // Before the application has a chance to ask for one.
    this.handOuts = this.context.isAsleep ? new HandOuts(this.services, this.context.wake) : undefined;
    // Documents are made before an application is initialised.
    documentLockAnswers(this.discovery, this.scanner);
    documentCachedAnswers(this.discovery, this.scanner);
  }

  /**
   * The application's cache; once, in the root module. A malformed or unknown option stops the boot.
   * @param options default: everything in process
   */
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    if (typeof options !== 'object' || options === null) fail('the options', 'an object', options);
    return super.forRoot(options);
  }

  /** As `forRoot`, with options from elsewhere: `tieredCacheConfig.asProvider()`, or `useFactory | useClass | useExisting`. */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    const { providers = [], ...definition } = super.forRootAsync(options);
    return { ...definition, providers: [...providers, { provide: ARE_OPTIONS_ASKED_FOR, useValue: true }] };
  }

  /**
   * Declares namespaces and makes their services injectable by `@InjectCache(name)` in the importing module. A namespace is declared
   * once in an application: a second declaration stops the boot.
   * @throws CacheUsageError `invalid_option`, `unknown_option`
   */
  static forFeature(namespaces: readonly NamespaceOptions[]): DynamicModule {
    return TieredCacheFeatureModule.of(namespaces);
  }

  /** Not for middleware of ours on routes, whose patterns differ between adapters and versions: for the one before all routes. */
  configure(): void {
    this.handOuts?.booted();
    mountRequestContext(this.context, this.host?.httpAdapter);
    noteControllerPlaces(this.discovery, this.modules.applicationId);
    noteInjectedRequests(this.discovery, new InjectedRequests(this.modules));
    // Routes are made next, before `onModuleInit`.
    const { answerInGuard = true } = this.options.responses ?? {};
    placeGuards(this.discovery, this.scanner, this.config, this.responses, answerInGuard);
  }

  /** Begins to connect; a store that is down does not stop the boot. A lock store that was asked for, or that routes need, is checked. */
  async onModuleInit(): Promise<void> {
    if (areInjected(this.services)) this.handOuts?.tell();
    this.settings.check();
    checkPageParameters(this.discovery, this.scanner, this.responses.policies);
    this.responses.prepare(() => versioningOf(this.modules.values()));
    checkDeclaredMethods(this.discovery, this.invalidations);
    checkCachedMethods(this.discovery, this.modules, this.functions);
    if (this.responses.policies.known.size > 0) keepExpressShapes(this.host?.httpAdapter);
    this.openLane();
    this.engine.open();
    const isLocking = checkLockRoutes(this.discovery, this.scanner);
    const isIdempotent = checkIdempotentRoutes(this.records, this.discovery, this.scanner);
    if (this.options.locks || isLocking || isIdempotent) await checkLocks(this.locks);
  }

  private openLane(): void {
    const { forceMiss } = this.options;
    const wishes = forceMiss && forceMissWish(forceMiss);
    this.responses.openLane({
      // Only behind guards is it known who may.
      leavesAlone: (request) => wishes?.(request as unknown as ForceMissRequest) === true,
    });
  }

  /** Requests under way shall end: who waits for a lock is refused. */
  beforeApplicationShutdown(): void {
    this.locks.endWaiting();
  }

  /** After the last request was answered, unlike `onModuleDestroy`. A loader that hangs does not hold up the end for ever. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.race([
      Promise.all([this.engine.drain(), this.locks.drain(), this.purges.drain()]),
      new Promise<void>((resolve) => this.engine.clock.after(DRAIN_MS, resolve)),
    ]);
    this.purges.close();
    this.context.close();
    await Promise.all([this.engine.close(), this.locks.close()]);
  }
}
