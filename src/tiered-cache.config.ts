import { registerAs } from '@nestjs/config';
import { optionsFromEnvironment } from './tiered-cache.environment.js';
import type { TieredCacheOptions } from './tiered-cache.options.js';

/**
 * The module's options from `CACHE_*` variables (`CACHE_URL`, `CACHE_DEFAULT_TTL`, `CACHE_TTL_<NAME>`, ...), as a configuration of
 * `@nestjs/config`. With none of them set the cache works in process.
 * @example TieredCacheModule.forRootAsync(tieredCacheConfig.asProvider())
 */
export const tieredCacheConfig = registerAs('tieredCache', (): TieredCacheOptions => optionsFromEnvironment());
