import { StoreUnavailableError } from '../../core/errors/cache.error.js';
import type {
  LockAnswer,
  LockRecords,
  LockRequest,
  LockState,
  LockStore,
  LockStoreCapabilities,
  LockStoreListener,
  LockStoreRole,
  ReleaseOutcome,
} from '../../locks/contract/lock-store.js';
import { MemoryLockDatabase, type MemoryLockDatabaseOptions } from './memory.lock-database.js';

/** What `new MemoryLockStore()` takes. */
export interface MemoryLockStoreOptions extends MemoryLockDatabaseOptions {
  /** Shared by several sessions; the other options are then the database's own. Default: a new one. */
  database?: MemoryLockDatabase | undefined;
}

/** One process's session on a {@link MemoryLockDatabase}: locks within one process, and the test double that keeps every promise. */
export class MemoryLockStore implements LockStore {
  readonly name = 'memory';
  readonly capabilities: LockStoreCapabilities = { fencing: true, queue: true, lossy: false, shared: false };
  readonly database: MemoryLockDatabase;
  #listener: LockStoreListener | undefined;
  #closed = false;

  constructor(options: MemoryLockStoreOptions = {}) {
    this.database = options.database ?? new MemoryLockDatabase(options);
  }

  open(listener: LockStoreListener): void {
    if (this.#closed) return;
    this.#listener = listener;
    this.database.sessions.add(listener);
    listener.connected();
  }

  async acquire(key: string, request: LockRequest): Promise<LockAnswer> {
    const database = this.#use('acquire');
    const { owner, leaseMs, waitMs, maxQueue } = request;
    const lock = database.look(key);
    if (lock?.owner === owner) {
      lock.until = database.clock.now() + leaseMs;
      return { outcome: 'granted', fence: lock.fence };
    }
    if (lock === undefined) return { outcome: 'granted', fence: database.grant(key, owner, leaseMs) };
    if (lock.owner === undefined) {
      const head = database.head(lock);
      if (head === undefined || head.owner === owner) {
        lock.queue.shift();
        return { outcome: 'granted', fence: database.grant(key, owner, leaseMs) };
      }
      database.free(key, lock);
    }
    const remainingMs = Math.max(0, lock.until - database.clock.now());
    const { queue } = lock;
    const place = queue.find((waiter) => waiter.owner === owner);
    if (place) place.heardAt = database.clock.now();
    else if (waitMs > 0) {
      if (queue.length >= maxQueue) return { outcome: 'full', remainingMs, waiting: queue.length };
      queue.push({ owner, listener: this.#listener, heardAt: database.clock.now() });
    }
    return { outcome: 'held', remainingMs, waiting: queue.length, fence: lock.fence };
  }

  async renew(key: string, owner: string, leaseMs: number): Promise<boolean> {
    const database = this.#use('renew');
    const lock = database.look(key);
    if (lock?.owner !== owner) return false;
    lock.until = database.clock.now() + leaseMs;
    return true;
  }

  async release(key: string, owner: string): Promise<ReleaseOutcome> {
    const database = this.#use('release');
    const lock = database.look(key);
    if (lock === undefined) return 'gone';
    const place = lock.queue.findIndex((waiter) => waiter.owner === owner);
    if (place >= 0) lock.queue.splice(place, 1);
    if (lock.owner === owner) {
      database.free(key, lock);
      return 'released';
    }
    database.tidy(key, lock);
    return lock.owner === undefined ? 'gone' : 'not-owner';
  }

  async inspect(key: string): Promise<LockState | undefined> {
    const database = this.#use('inspect');
    const lock = database.look(key);
    if (lock === undefined || (lock.owner === undefined && database.head(lock) === undefined)) return undefined;
    const { owner, queue } = lock;
    const isHeld = owner !== undefined;
    const remainingMs = isHeld ? lock.until - database.clock.now() : 0;
    return { owner, fence: isHeld ? lock.fence : undefined, remainingMs, waiting: queue.length };
  }

  async forceRelease(key: string): Promise<boolean> {
    const database = this.#use('forceRelease');
    const lock = database.look(key);
    if (lock?.owner === undefined) return false;
    database.free(key, lock);
    return true;
  }

  readonly records: LockRecords = {
    keep: async (key, owner, record, ttlMs) => {
      const database = this.#use('keep');
      if (database.look(key)?.owner !== owner) return false;
      database.keepRecord(key, record, ttlMs);
      return true;
    },
    read: async (key) => this.#use('read').readRecord(key),
  };

  async role(): Promise<LockStoreRole> {
    this.#use('role');
    return { evicts: undefined };
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#listener) this.database.sessions.delete(this.#listener);
  }

  #use(operation: string): MemoryLockDatabase {
    if (this.#closed) throw new StoreUnavailableError(this.name, operation, 'closed');
    return this.database;
  }
}
