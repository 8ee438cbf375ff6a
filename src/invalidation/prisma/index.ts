export { invalidateFromPrisma } from './invalidate-from-prisma.js';
export type { PrismaInvalidationOptions } from './model-rows.js';
export type { PrismaLike } from './prisma.types.js';
