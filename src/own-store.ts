import { CacheUsageError } from './core/errors/cache.error.js';

const owned = new WeakSet<object>();

/**
 * A store is one application's: it reports to one listener, and ends with its application. One that is made where a module is declared is
 * met again by the next application that is started from it: in tests, after a hot reload.
 * @throws CacheUsageError `store_in_use`, naming `field`
 */
export function ownStore<S extends object>(store: S, field: string): S {
  if (owned.has(store))
    throw new CacheUsageError(
      'store_in_use',
      `${field} is the store of another application in this process, or of one that has ended; give a function that makes one for each, e.g. () => redis({ url })`,
    );
  owned.add(store);
  return store;
}
