import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { TieredCacheOptions } from './tiered-cache.options.js';

export interface TieredCacheExtras {
  /** Whether every module may inject the cache without importing this one. `forFeature()` needs it. Default `true`. */
  isGlobal?: boolean;
}

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<TieredCacheOptions>({ moduleName: 'TieredCache' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createTieredCacheOptions')
    .setExtras<TieredCacheExtras>({ isGlobal: true }, (definition, { isGlobal }) => ({
      ...definition,
      global: isGlobal ?? true,
    }))
    .build();
