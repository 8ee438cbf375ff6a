import { CacheUsageError } from './core/errors/cache.error.js';

/** The engine behind every CacheService of an application. */
export const TIERED_CACHE_ENGINE: unique symbol = Symbol('TIERED_CACHE_ENGINE');

/** The store behind the remote tier. */
export const TIERED_CACHE_STORE: unique symbol = Symbol('TIERED_CACHE_STORE');

/** What all locks of an application share. */
export const TIERED_CACHE_LOCKS: unique symbol = Symbol('TIERED_CACHE_LOCKS');

/** The default namespace: what plain `CacheService` is. */
export const DEFAULT_NAMESPACE = 'default';

/**
 * The injection token of a namespace's CacheService; what `@InjectCache(name)` uses. For `overrideProvider()` and factories' `inject`.
 * @throws CacheUsageError `invalid_option` unless `name` is a non-empty string
 */
export function getCacheToken(name: string = DEFAULT_NAMESPACE): string {
  if (typeof name !== 'string' || name === '')
    throw new CacheUsageError('invalid_option', 'the name of a cache must be a non-empty string');
  return `TieredCache(${name})`;
}

/** Whether a token is one that {@link getCacheToken} gives. */
export function isCacheToken(token: unknown): boolean {
  return typeof token === 'string' && token.startsWith('TieredCache(');
}
