import type { FactoryProvider } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { CacheUsageError } from './core/errors/cache.error.js';
import { fail } from './option-checks.js';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './tiered-cache.module-definition.js';
import { validateOptions } from './tiered-cache.options-validation.js';
import type { TieredCacheOptions } from './tiered-cache.options.js';

/** There by `forRootAsync()`. */
export const ARE_OPTIONS_ASKED_FOR: unique symbol = Symbol('TIERED_CACHE_ARE_OPTIONS_ASKED_FOR');

export const VALID_OPTIONS: unique symbol = Symbol('TIERED_CACHE_VALID_OPTIONS');

/** The options of the application; what is wrong with them stops the boot before anything is made of them. */
export const validOptions: FactoryProvider<TieredCacheOptions> = {
  provide: VALID_OPTIONS,
  inject: [
    ModulesContainer,
    { token: MODULE_OPTIONS_TOKEN, optional: true },
    { token: ARE_OPTIONS_ASKED_FOR, optional: true },
  ],
  useFactory: (modules: ModulesContainer, options: unknown, areAskedFor = false): TieredCacheOptions => {
    checkOnlyRoot(modules);
    // Defaults would keep in each process what was to be shared, locks included.
    if (options === undefined && areAskedFor)
      fail('the options', 'what useFactory, useClass or useExisting gives', options);
    const known: unknown = options === undefined ? {} : options;
    validateOptions(known);
    return known;
  },
};

/** Of two, neither would hear what is invalidated by the other. */
function checkOnlyRoot(modules: ModulesContainer): void {
  const roots = [...modules.values()].filter(({ metatype }) => metatype?.prototype instanceof ConfigurableModuleClass);
  if (roots.length > 1)
    throw new CacheUsageError(
      'duplicate_root',
      `TieredCacheModule is imported ${roots.length} times, and each time would be a cache of its own: import TieredCacheModule.forRoot() or forRootAsync() once, in the root module; other modules import forFeature(), or nothing`,
    );
}
