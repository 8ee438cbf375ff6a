import type { LoadContext, StaleValue } from '../core/cache.options.js';
import { CacheUsageError } from '../core/errors/cache.error.js';

// Held only while a method runs up to its first `await`: nothing else can run in between, so no AsyncLocalStorage is needed, and what is
// process-wide here is never seen by another application.
let current: LoadContext | undefined;

/**
 * What a `@Cached()` method is told of its load, and may say of its value: the stale value, the signal, `setTtl`, `setTags`, `skip`,
 * `notModified`. To be called before the method's first `await`. On an object that is not cached (made with `new`) it does nothing.
 * @throws CacheUsageError `no_load` after an `await`, or outside any cached method
 * @example
 * @Cached({ ttl: '1d', freshFor: '5m' })
 * async feed(url: string): Promise<Feed> {
 *   const load = loadContext<Feed>();
 *   const response = await fetch(url, { signal: load.signal });
 *   return response.status === 304 ? load.notModified() : this.parse(response);
 * }
 */
export function loadContext<T = unknown>(): LoadContext<T> {
  if (current === undefined) {
    throw new CacheUsageError(
      'no_load',
      'loadContext() is for @Cached() methods, before their first await; keep what it returns in a variable',
    );
  }
  return current as LoadContext<T>;
}

/** Runs the synchronous beginning of a method. */
export function withLoad<R>(context: LoadContext, run: () => R): R {
  const outer = current;
  current = context;
  try {
    return run();
  } finally {
    current = outer;
  }
}

/** Of a method that runs uncached. */
export class UncachedLoad implements LoadContext {
  readonly key = '(uncached)';
  readonly stale: StaleValue<unknown> | undefined = undefined;
  private controller: AbortController | undefined;

  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    return this.controller.signal;
  }

  setTtl(): void {}

  setTags(): void {}

  skip(): void {}

  notModified(): never {
    throw new CacheUsageError('nothing_stale', 'notModified() without a stale value: look at context.stale first');
  }
}
