import type { CacheKey } from '../core/cache.options.js';
import { CacheUsageError } from '../core/errors/cache.error.js';
import type { BoundFunction } from './bound-function.js';
import { boundTo, type Host } from './cached.decorator.js';
import type { CachedReturn } from './cached.options.js';
import { findFunction, type CachedFunction } from './cached-function.js';

/** The cache behind one `@Cached()` method of one object; each member takes the method's own arguments. */
export interface CachedMethod<A extends unknown[] = unknown[], T = unknown> {
  /** For the CacheService of the method's namespace. @throws CacheUsageError `invalid_key`, `not_cached` */
  cacheKeyOf(...args: A): CacheKey;
  /** Loads anew whatever there is, and replaces it. */
  refresh(...args: A): Promise<T>;
  /** Removes the value everywhere; a load under way will not bring it back. `true` if there was one. Rejects with StoreUnavailableError. */
  invalidate(...args: A): Promise<boolean>;
  /** The fresh value in the memory tier, synchronously, or `undefined`. Never loads. @throws CacheUsageError `invalid_key`, `not_cached` */
  peek(...args: A): T | undefined;
}

type Arguments<M> = M extends (...args: infer A) => unknown ? A : never;
type Value<M> = M extends (...args: never[]) => CachedReturn<infer T> ? T : never;

/**
 * The cache behind a `@Cached()` method. Can be taken at any time, also in a constructor; it works once Nest has made the object, and
 * fails with CacheUsageError `not_cached` on an object that Nest did not make. For `this`, name the class: TypeScript does not look into
 * the type of `this`.
 * @throws CacheUsageError `not_cached` if the method has no `@Cached()`
 * @example
 * await cachedMethod(this.books, 'topBookIds').invalidate(authorId);
 * await cachedMethod<Books, 'topBookIds'>(this, 'topBookIds').refresh(authorId);
 */
export function cachedMethod<S extends object, K extends keyof S>(
  service: S,
  name: K,
): CachedMethod<Arguments<S[K]>, Value<S[K]>> {
  const fn = findFunction(service, name);
  if (fn === undefined) {
    const method = `${service.constructor.name}.${String(name)}`;
    throw new CacheUsageError('not_cached', `${method} is not cached: put @Cached() on it`);
  }
  return new MethodHandle<Arguments<S[K]>, Value<S[K]>>(service, fn);
}

class MethodHandle<A extends unknown[], T> implements CachedMethod<A, T> {
  constructor(
    private readonly service: object,
    private readonly fn: CachedFunction,
  ) {}

  cacheKeyOf(...args: A): CacheKey {
    return this.bound().keyOf(this.service, args).parts;
  }

  async refresh(...args: A): Promise<T> {
    return (await this.bound().refresh(this.service, args)) as T;
  }

  async invalidate(...args: A): Promise<boolean> {
    return this.bound().cache.delete(this.cacheKeyOf(...args));
  }

  peek(...args: A): T | undefined {
    return this.bound().cache.peek<T>(this.cacheKeyOf(...args));
  }

  private bound(): BoundFunction {
    const bound = boundTo(this.fn, this.service as Host);
    if (bound !== undefined) return bound;
    throw new CacheUsageError(
      'not_cached',
      `${this.fn.label} runs uncached on this object: Nest did not make it, or is still making it; get it from the application`,
    );
  }
}
