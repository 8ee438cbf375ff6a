import { StoreUnavailableError } from '../../core/errors/cache.error.js';
import {
  freshUntilOf,
  sameFrame,
  type Acquired,
  type CacheStore,
  type LeaseRequest,
  type ScanStep,
  type StoreCapabilities,
  type StoreListener,
  type WriteCondition,
  type WriteOutcome,
} from '../contract/cache-store.js';
import { MemoryDatabase, type MemoryDatabaseOptions } from './memory.database.js';

export { MemoryDatabase, type MemoryDatabaseOptions };

/** What `new MemoryStore()` takes. */
export interface MemoryStoreOptions extends MemoryDatabaseOptions {
  /** Shared by several sessions; the other options are then the database's own. Default: a new one. */
  database?: MemoryDatabase | undefined;
}

/**
 * One process's session on a {@link MemoryDatabase}: the default store, and the test double that keeps every promise of the contract.
 * Changes are reported to the *other* sessions at once, before the operation resolves. Frames are handed over by reference.
 */
export class MemoryStore implements CacheStore {
  readonly name = 'memory';
  readonly capabilities: StoreCapabilities = {
    lease: true,
    cas: true,
    bus: true,
    binary: true,
    evicts: true,
    scan: true,
    durable: false,
    stores: true,
  };
  readonly database: MemoryDatabase;
  #listener: StoreListener | undefined;
  #closed = false;

  constructor(options: MemoryStoreOptions = {}) {
    this.database = options.database ?? new MemoryDatabase(options);
  }

  open(listener: StoreListener): void {
    if (this.#closed) return;
    if (this.#listener) this.database.sessions.delete(this.#listener);
    this.#listener = listener;
    this.database.sessions.add(listener);
    listener.heard();
  }

  async read(keys: readonly string[]): Promise<Array<Uint8Array | undefined>> {
    const database = this.#use('read');
    return keys.map((key) => database.frame(key, this.#listener));
  }

  async acquire(key: string, request: LeaseRequest): Promise<Acquired> {
    const database = this.#use('acquire');
    let stale: Uint8Array | undefined;
    if (!request.steal) {
      const frame = database.frame(key, this.#listener);
      if (frame !== undefined && !sameFrame(frame, request.seen)) {
        if (database.clock.now() < freshUntilOf(frame)) return { outcome: 'value', frame };
        stale = frame;
      }
      const lease = database.lease(key);
      if (lease !== undefined && lease.token !== request.token && lease.fence === request.fence) {
        lease.isWanted = true;
        return { outcome: 'held', remainingMs: lease.until - database.clock.now(), stale };
      }
    }
    database.grant(key, request.token, request.fence, request.leaseMs);
    return { outcome: 'lease', grantedAt: database.moment(), stale };
  }

  async renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    const database = this.#use('renew');
    const lease = database.lease(key);
    if (lease?.token !== token) return false;
    lease.until = database.clock.now() + leaseMs;
    return true;
  }

  async fill(key: string, token: string, frame: Uint8Array, ttlMs: number): Promise<boolean> {
    const database = this.#use('fill');
    const lease = database.lease(key);
    if (lease?.token !== token) return false;
    this.#store(database, key, frame, ttlMs, (listener) =>
      lease.isWanted ? listener.updated(key, frame, database.clock.now(), Infinity) : listener.changed([key]),
    );
    return true;
  }

  async release(key: string, token: string): Promise<void> {
    const database = this.#use('release');
    if (database.lease(key)?.token !== token) return;
    database.dropLease(key);
    database.tell(this.#listener, (listener) => listener.released([key]));
  }

  async write(key: string, frame: Uint8Array, ttlMs: number, condition?: WriteCondition): Promise<WriteOutcome> {
    const database = this.#use('write');
    if (condition?.absent || condition?.seen) {
      const current = database.frame(key, this.#listener);
      const holds = current === undefined ? condition.absent === true : sameFrame(current, condition.seen);
      if (!holds) return { written: false, frame: current };
    }
    this.#store(database, key, frame, ttlMs, (listener) =>
      listener.updated(key, frame, database.clock.now(), Infinity),
    );
    return { written: true };
  }

  async remove(keys: readonly string[]): Promise<number> {
    const database = this.#use('remove');
    let removed = 0;
    for (const key of keys) {
      database.dropLease(key);
      if (database.drop(key)) removed++;
    }
    // Also what is not there: it may be remembered, or loaded, elsewhere.
    if (keys.length > 0) database.tell(this.#listener, (listener) => listener.changed(keys));
    return removed;
  }

  async tokens(names: readonly string[]): Promise<string[]> {
    const database = this.#use('tokens');
    return names.map((name) => database.token(name));
  }

  async rotate(names: readonly string[], soft = false): Promise<string[]> {
    const database = this.#use('rotate');
    const tokens = names.map((name) => database.rotate(name, soft));
    if (names.length > 0) database.tell(this.#listener, (listener) => listener.rotated(names));
    return tokens;
  }

  async stamp(name: string, stamp: string, graceMs: number): Promise<string> {
    const database = this.#use('stamp');
    const before = database.stored(name);
    const token = database.stamp(name, stamp, graceMs);
    if (token !== before) database.tell(this.#listener, (listener) => listener.rotated([name]));
    return token;
  }

  async scan(prefix: string, cursor: string | undefined): Promise<ScanStep> {
    return this.#use('scan').scan(prefix, Number(cursor ?? 0));
  }

  async now(): Promise<number> {
    return this.#use('now').clock.now();
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#listener) this.database.sessions.delete(this.#listener);
  }

  #store(
    database: MemoryDatabase,
    key: string,
    frame: Uint8Array,
    ttlMs: number,
    say: (listener: StoreListener) => void,
  ): void {
    database.put(key, frame, ttlMs);
    database.dropLease(key);
    database.tell(this.#listener, say);
  }

  #use(operation: string): MemoryDatabase {
    if (this.#closed) throw new StoreUnavailableError(this.name, operation, 'closed');
    return this.database;
  }
}
