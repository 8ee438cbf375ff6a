import { Module, type DynamicModule, type FactoryProvider } from '@nestjs/common';
import type { NamespaceOptions } from './core/cache.options.js';
import type { CacheEngine } from './core/cache-engine.js';
import type { CacheService } from './core/cache.service.js';
import { CacheUsageError } from './core/errors/cache.error.js';
import { NamespaceSettings } from './namespace-settings.js';
import { withStamp } from './stamp-source.js';
import { getCacheToken, TIERED_CACHE_ENGINE } from './tiered-cache.constants.js';
import { validateNamespaces } from './tiered-cache.options-validation.js';

/** What `TieredCacheModule.forFeature()` imports: one CacheService for each namespace, on the application's one engine. */
@Module({})
export class TieredCacheFeatureModule {
  static of(namespaces: readonly NamespaceOptions[]): DynamicModule {
    validateNamespaces(namespaces);
    const providers = namespaces.map(providerOf);
    return { module: TieredCacheFeatureModule, providers, exports: providers.map(({ provide }) => provide) };
  }
}

function providerOf(namespace: NamespaceOptions): FactoryProvider<CacheService> {
  return {
    provide: getCacheToken(namespace.name),
    inject: [
      { token: TIERED_CACHE_ENGINE, optional: true },
      { token: NamespaceSettings, optional: true },
    ],
    useFactory: async (engine?: CacheEngine, settings?: NamespaceSettings) => {
      if (engine === undefined || settings === undefined) throw missingRoot(namespace.name);
      return engine.addNamespace(await withStamp(settings.complete(namespace)));
    },
  };
}

function missingRoot(name: string): CacheUsageError {
  return new CacheUsageError(
    'missing_root',
    `TieredCacheModule.forFeature() of "${name}" found no cache: import TieredCacheModule.forRoot() or forRootAsync() once, in the root module, without isGlobal: false`,
  );
}
