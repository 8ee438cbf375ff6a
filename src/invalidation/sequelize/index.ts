export { invalidateFromSequelize } from './invalidate-from-sequelize.js';
export { SequelizeInvalidationModule } from './sequelize-invalidation.module.js';
export type { SequelizeInvalidationOptions } from './sequelize-invalidation.module.js';
export type { SequelizeLike, SequelizeModel } from './sequelize.types.js';
