export {
  CqrsInvalidationModule,
  invalidateOn,
  type CqrsInvalidation,
  type CqrsInvalidationOptions,
} from './cqrs-invalidation.module.js';
export type { ChangesOf } from '../events/event-invalidation.js';
