export { invalidateFromSequelize } from './invalidate-from-sequelize.js';
export type { SequelizeLike, SequelizeModel } from './sequelize.types.js';
