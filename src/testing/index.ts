export { storeConformance } from './store-conformance.js';
export type { ConformanceOptions, ConformanceSubject } from './conformance.subject.js';
export { RecordingListener } from './recording-listener.js';
export { MemoryStore, type MemoryStoreOptions } from '../stores/memory/memory.store.js';
export { MemoryDatabase, type MemoryDatabaseOptions } from '../stores/memory/memory.database.js';
export type * from '../stores/contract/cache-store.js';
