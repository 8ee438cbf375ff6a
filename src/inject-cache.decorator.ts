import { Inject } from '@nestjs/common';
import { getCacheToken } from './tiered-cache.constants.js';

/**
 * Injects the CacheService of a namespace declared by `TieredCacheModule.forFeature()`.
 * @example constructor(@InjectCache('content-metadata') private readonly metadata: CacheService) {}
 */
export function InjectCache(name?: string): PropertyDecorator & ParameterDecorator {
  return Inject(getCacheToken(name));
}
