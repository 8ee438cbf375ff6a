import { injectProperty, type Takes } from '../method-decorator.js';
import { replaceMethod, type Method } from '../replace-method.js';
import type { BoundFunction } from './bound-function.js';
import type { CachedOptions, CachedReturn } from './cached.options.js';
import { CachedFunction } from './cached-function.js';
import { FunctionRegistry } from './function-registry.js';
import { UncachedLoad, withLoad } from './load-context.js';
import { singleEmission } from './single-emission.js';

const REGISTRY: unique symbol = Symbol('nestjs-tiered-cache:function-registry');

/** An object with cached methods. */
export interface Host {
  readonly [REGISTRY]?: FunctionRegistry;
}

interface Slots {
  readonly [slot: symbol]: BoundFunction | undefined;
}

/**
 * Keeps what a method of a provider or controller resolves to: {@link CacheService.getOrSet} under the key
 * `[prefix, '<class>.<method>', ...arguments]`, with the same options and the same promises. `this` is no part of the key.
 *
 * For methods that return a promise, or an Observable that emits once and completes; that one is given back cold, and to unsubscribe is
 * to go away. To leave an argument out is the same as `undefined`. {@link cachedMethod} refreshes and invalidates, {@link loadContext}
 * tells the method about its load. On an object that Nest did not make (`new`, a factory), and in its constructor, the method just runs.
 * @throws CacheUsageError `invalid_option`, `unknown_option`, `invalid_duration`
 * @example
 * @Cached({ ttl: '24h', freshFor: '1h', prefix: 'Author' })
 * async topBookIds(authorId: string): Promise<number[]> {}
 */
export function Cached<A extends unknown[] = unknown[], T = unknown>(
  options: CachedOptions<A, T> = {},
): <M extends (...args: never[]) => CachedReturn<T>>(
  target: object,
  property: string | symbol,
  descriptor: TypedPropertyDescriptor<M> & Takes<A, M, 'key and tags must take the arguments of the method'>,
) => void {
  return (target: object, property: string | symbol, descriptor?: PropertyDescriptor) => {
    const original = descriptor?.value as Method | undefined;
    if (descriptor === undefined || typeof original !== 'function' || typeof target === 'function')
      throw new TypeError(`@Cached() is for methods of objects; ${String(property)} is none`);
    const fn = new CachedFunction(target, property, original, options as unknown as CachedOptions);
    fn.register();
    injectProperty(target, REGISTRY, FunctionRegistry);
    replaceMethod(descriptor, fn.returnsObservable ? observing(fn) : promising(fn));
  };
}

/** What a cached function is on an object; `undefined` while Nest has given it no registry. @throws as FunctionRegistry.bind */
export function boundTo(fn: CachedFunction, self: Host): BoundFunction | undefined {
  const bound = (self as Slots)[fn.slot];
  if (bound !== undefined) return bound;
  if (!hasRegistry(self)) return undefined;
  const fresh = self[REGISTRY].bind(fn, self);
  // On the object, not in the function: that one is shared by all applications of the process.
  Object.defineProperty(self, fn.slot, { value: fresh, enumerable: false });
  return fresh;
}

/** Not so where Nest did not make the object, or a test has put a substitute in the place of everything. */
function hasRegistry(self: Host | undefined): self is Required<Host> {
  return self?.[REGISTRY] instanceof FunctionRegistry;
}

function promising(fn: CachedFunction): Method {
  const { slot } = fn;
  const call = function (this: Host | undefined, ...args: unknown[]): unknown {
    if (!hasRegistry(this)) return uncached(fn, this, args);
    try {
      return (boundTo(fn, this) as BoundFunction).call(this, args);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  };
  // A hit makes no array of its arguments.
  return function (this: Host | undefined, only?: unknown): unknown {
    const bound = (this as Slots | undefined)?.[slot];
    if (bound !== undefined && arguments.length < 2) {
      const answer = bound.answer(only);
      if (answer !== undefined) return answer;
    }
    return call.apply(this, arguments as unknown as unknown[]);
  };
}

function observing(fn: CachedFunction): Method {
  return function (this: Host | undefined, ...args: unknown[]): unknown {
    if (!hasRegistry(this)) return uncached(fn, this, args);
    return singleEmission(async (signal) => (boundTo(fn, this) as BoundFunction).call(this, args, signal));
  };
}

function uncached(fn: CachedFunction, self: unknown, args: unknown[]): unknown {
  return withLoad(new UncachedLoad(), () => fn.original.apply(self, args));
}
