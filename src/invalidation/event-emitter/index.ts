export { EventInvalidationModule, type EventInvalidationOptions } from './event-invalidation.module.js';
export type { ChangesOf } from '../events/event-invalidation.js';
