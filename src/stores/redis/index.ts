export { redis } from './redis.factory.js';
export { RedisStore } from './redis.store.js';
export type { RedisStoreOptions } from './redis.options.js';
export type { RedisClient, RedisClusterTarget } from './redis.driver.js';
