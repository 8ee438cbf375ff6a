export { TypeOrmInvalidationModule } from './typeorm-invalidation.module.js';
export type { TypeOrmInvalidationOptions } from './typeorm-invalidation.options.js';
export type { TypeOrmOutboxOptions } from './typeorm-outbox.js';
