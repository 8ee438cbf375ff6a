export { CacheInterceptor } from './cache.interceptor.js';
export { CacheKey, CacheTTL } from './cache-decorators.js';
