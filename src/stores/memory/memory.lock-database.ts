import { systemClock, type Clock } from '../../core/clock/clock.js';
import { CLAIM_MS, SILENT_MS, type LockStoreListener } from '../../locks/contract/lock-store.js';

/** Clock of a {@link MemoryLockDatabase}. */
export interface MemoryLockDatabaseOptions {
  /** Of leases. Default: the process's monotonic clock. */
  clock?: Clock | undefined;
}

interface Waiter {
  readonly owner: string;
  readonly listener: LockStoreListener | undefined;
  heardAt: number;
}

interface Lock {
  owner: string | undefined;
  fence: bigint;
  until: number;
  readonly queue: Waiter[];
}

const SWEEP_EVERY = 1000;

/**
 * What a lock server would hold, in this process: several `MemoryLockStore` sessions on one database behave like several processes on one
 * server.
 */
export class MemoryLockDatabase {
  readonly clock: Clock;
  /** Listeners of the open sessions; a waiter whose session has closed is dead. */
  readonly sessions = new Set<LockStoreListener>();
  readonly #locks = new Map<string, Lock>();
  readonly #records = new Map<string, { readonly record: string; readonly until: number }>();
  #lastFence = 0n;
  #grantsUntilSweep = SWEEP_EVERY;

  constructor(options: MemoryLockDatabaseOptions = {}) {
    this.clock = options.clock ?? systemClock;
  }

  /** Locks and queues kept now, expired ones that nobody has met yet included. */
  get size(): number {
    return this.#locks.size;
  }

  /** The lock's record, with a holder only if its lease is in force. */
  look(key: string): Lock | undefined {
    const lock = this.#locks.get(key);
    if (lock?.owner !== undefined && lock.until <= this.clock.now()) lock.owner = undefined;
    return lock;
  }

  grant(key: string, owner: string, leaseMs: number): bigint {
    if (--this.#grantsUntilSweep <= 0) this.#sweep();
    const fence = this.#nextFence();
    const until = this.clock.now() + leaseMs;
    const lock = this.#locks.get(key);
    if (lock) Object.assign(lock, { owner, fence, until });
    else this.#locks.set(key, { owner, fence, until, queue: [] });
    return fence;
  }

  keepRecord(key: string, record: string, ttlMs: number): void {
    this.#records.set(key, { record, until: this.clock.now() + ttlMs });
  }

  readRecord(key: string): string | undefined {
    const found = this.#records.get(key);
    if (found === undefined || found.until > this.clock.now()) return found?.record;
    this.#records.delete(key);
    return undefined;
  }

  /** The first waiter that lives; dead ones are dropped on the way. */
  head(lock: Lock): Waiter | undefined {
    const { queue } = lock;
    while (queue[0] && !this.#isAlive(queue[0])) queue.shift();
    return queue[0];
  }

  /** Frees the lock and hands it over to the first living waiter. */
  free(key: string, lock: Lock): void {
    lock.owner = undefined;
    const head = this.head(lock);
    if (head === undefined) {
      this.#locks.delete(key);
      return;
    }
    lock.queue.shift();
    const fence = this.grant(key, head.owner, CLAIM_MS);
    head.listener?.handed(head.owner, { key, fence });
  }

  /** Forgets a lock that is neither held nor waited for. */
  tidy(key: string, lock: Lock): void {
    if (lock.owner === undefined && lock.queue.length === 0) this.#locks.delete(key);
  }

  /** Loses everything, as FLUSHALL or an empty replica does. */
  flush(): void {
    this.#records.clear();
    this.#locks.clear();
  }

  // The wall clock, which goes on while the process does not run: a fence may be kept in a database.
  #nextFence(): bigint {
    const micros = BigInt(Math.floor((performance.timeOrigin + performance.now()) * 1000));
    return (this.#lastFence = micros > this.#lastFence ? micros : this.#lastFence + 1n);
  }

  #isAlive(waiter: Waiter): boolean {
    const isReachable = waiter.listener === undefined || this.sessions.has(waiter.listener);
    return isReachable && this.clock.now() - waiter.heardAt < SILENT_MS;
  }

  // Once per as many grants as there are records, so that its cost per grant is constant.
  #sweep(): void {
    for (const key of this.#locks.keys()) {
      const lock = this.look(key) as Lock;
      if (this.head(lock) === undefined) this.tidy(key, lock);
    }
    for (const key of this.#records.keys()) this.readRecord(key);
    this.#grantsUntilSweep = Math.max(SWEEP_EVERY, this.#locks.size + this.#records.size);
  }
}
