export { invalidateFromDrizzle } from './invalidate-from-drizzle.js';
export type { DrizzleInvalidationOptions } from './invalidate-from-drizzle.js';
export type { DrizzleLike } from './drizzle.types.js';
