export { memcachedLocks } from './memcached.lock-factory.js';
export { MemcachedLockStore } from './memcached.lock-store.js';
export type { MemcachedStoreOptions } from './memcached.options.js';
