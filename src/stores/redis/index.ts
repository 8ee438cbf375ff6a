export { redis } from './redis.factory.js';
export { RedisStore } from './redis.store.js';
export type { RedisStoreOptions } from './redis.options.js';
export type { RedisClient, RedisClusterTarget } from './redis.driver.js';
export { redisLocks } from './redis.lock-factory.js';
export { RedisLockStore } from './redis.lock-store.js';
export type { RedisLockStoreOptions } from './redis.lock-options.js';
