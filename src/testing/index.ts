export { storeConformance } from './store-conformance.js';
export type { ConformanceOptions, ConformanceSubject } from './conformance.subject.js';
export { RecordingListener } from './recording-listener.js';
export { MemoryStore, type MemoryStoreOptions } from '../stores/memory/memory.store.js';
export { MemoryDatabase, type MemoryDatabaseOptions } from '../stores/memory/memory.database.js';
export type {
  Acquired,
  CacheStore,
  LeaseRequest,
  ScanStep,
  StoreCapabilities,
  StoreListener,
  WriteCondition,
  WriteOutcome,
} from '../stores/contract/cache-store.js';

export { lockStoreConformance } from './lock-store-conformance.js';
export { RecordingLockListener } from './lock-conformance.subject.js';
export type { LockConformanceOptions, LockConformanceSubject } from './lock-conformance.subject.js';
export { MemoryLockStore, type MemoryLockStoreOptions } from '../stores/memory/memory.lock-store.js';
export { MemoryLockDatabase, type MemoryLockDatabaseOptions } from '../stores/memory/memory.lock-database.js';
export type {
  HandOver,
  LockAnswer,
  LockRecords,
  LockRequest,
  LockState,
  LockStore,
  LockStoreCapabilities,
  LockStoreListener,
  LockStoreRole,
  LockStoreSource,
  ReleaseOutcome,
} from '../locks/contract/lock-store.js';
