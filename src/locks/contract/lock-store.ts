import { StoreUnavailableError } from '../../core/errors/cache.error.js';

/**
 * What backs the locks. The engine asks a store for nothing more than these operations, each one atomic step in the store; renewal, loss,
 * deadlines and several keys are its own business.
 *
 * Keys are ASCII, at most 200 characters, without white space; the engine puts the hash tag in (`{policy}`), the store its own prefix in
 * front. No operation of a cache store may ever touch what is kept under it.
 *
 * Rules that every store keeps:
 *
 * 1. *Owner*: a random token of one attempt. Only its owner renews or releases a lock.
 * 2. *Acquire is idempotent by owner*: repeated after a lost reply it is granted again, with the same fence and a full lease. It also
 *    confirms a hand-off.
 * 3. *Renew never re-creates.*
 * 4. *Fence*: `max(server's microseconds, last + 1)` of the key, new with every change of owner and with nothing else. So it still grows
 *    after all data was lost.
 * 5. *Queue*: who asks with `waitMs > 0` and is refused keeps its place, also when it asks again. A free lock is given to the head of
 *    the queue and to nobody else: handed over for 1 s at the moment of the release, then confirmed by the waiter's next
 *    `acquire`. Waiters that are dead (not reachable, or silent for 5 s) are passed over.
 *
 * How it maps to SQL (table `tc_lock(key primary key, owner, fence, expires)` and `tc_lock_queue(key, owner, arrived, expires)`, both
 * logged, the database's clock, one short transaction an operation on a connection of the store's own):
 *
 * | operation | SQL |
 * |---|---|
 * | `acquire` | `INSERT INTO tc_lock ... ON CONFLICT (key) DO UPDATE SET owner=?, fence=GREATEST(<micros>, tc_lock.fence + 1), expires=? WHERE tc_lock.owner=? OR (tc_lock.expires <= clock_timestamp() AND NOT EXISTS (<a live waiter before ?>)) RETURNING fence` (the owner's own row keeps its fence: `CASE`); 0 rows: `INSERT INTO tc_lock_queue ... ON CONFLICT DO UPDATE SET expires=?`, then who holds it |
 * | `renew` | `UPDATE tc_lock SET expires=? WHERE key=? AND owner=? AND expires > clock_timestamp()` |
 * | `release` | `DELETE FROM tc_lock_queue WHERE key=? AND owner=?`; `UPDATE tc_lock SET owner=<head of the queue>, fence=fence+1, expires=<now + claim> WHERE key=? AND owner=?` (or `owner=NULL, expires=<now>`: the row stays, it carries the last fence), then `NOTIFY` |
 * | `inspect` | `SELECT` |
 * | `forceRelease` | as `release`, without the owner |
 *
 * MySQL and SQLite do the same with `SELECT ... FOR UPDATE` / `BEGIN IMMEDIATE`. Memcached: `ms ME` to acquire, `ms C<cas>` to renew,
 * `md C<cas>` to release; no queue, no fence, and `lossy`.
 *
 * An operation that fails (connection, server error) rejects with StoreUnavailableError. The engine adds the deadline.
 */
export interface LockStore {
  /** Short name for messages and metrics, e.g. `redis`. Never contains an address or a credential. */
  readonly name: string;
  readonly capabilities: LockStoreCapabilities;

  /** Begins to connect in the background. Never throws and never waits. */
  open(listener: LockStoreListener): void;

  /** Grants the lock, confirms it, queues the owner, or tells how it stands. */
  acquire(key: string, request: LockRequest): Promise<LockAnswer>;

  /** Sets what is left of a lock that `owner` holds to `leaseMs`, also when that is less; `false`: it does not hold it any more. */
  renew(key: string, owner: string, leaseMs: number): Promise<boolean>;

  /** Gives the lock up if `owner` holds it, and `owner`'s place in the queue; hands a lock that got free over to the head. */
  release(key: string, owner: string): Promise<ReleaseOutcome>;

  /** How the lock stands; `undefined` if nobody holds it and nobody waits. */
  inspect(key: string): Promise<LockState | undefined>;

  /** As a release by whoever holds it, for operators. `false` if nobody did. */
  forceRelease(key: string): Promise<boolean>;

  /** Keeps what was answered to idempotent requests, if this store can. */
  readonly records?: LockRecords;

  /** What the server says of how it keeps data; asked at boot. Rejects if it cannot be reached. */
  role(): Promise<LockStoreRole>;

  /** Closes what this store opened itself; idempotent. Operations after it reject. */
  close(): Promise<void>;
}

/**
 * Records beside the locks: kept where nothing is evicted, outside every invalidation of the cache, and written by the holder of a lock only. So
 * "running" is the lock itself, which a crash frees, and "done" is a record that nobody writes who was overtaken.
 */
export interface LockRecords {
  /** Writes the record of `key` if `owner` holds its lock, in one step. `false`: it does not hold it any more, and nothing was written. */
  keep(key: string, owner: string, record: string, ttlMs: number): Promise<boolean>;

  /** `undefined`: there is none, or its time is over. */
  read(key: string): Promise<string | undefined>;
}

/** How long a lock handed over waits for its new owner to confirm, in milliseconds. */
export const CLAIM_MS = 1000;
/** A waiter that has not asked for so long is dead, in milliseconds. The engine asks at least each second. */
export const SILENT_MS = 5000;

/** What a lock store can do; what it cannot is refused or done without. */
export interface LockStoreCapabilities {
  /** Grants carry a fence that never goes back. Without it fencing is refused. */
  readonly fencing: boolean;
  /** Waiters are served in order. Without it they poll, and whoever comes first wins. */
  readonly queue: boolean;
  /**
   * May lose held locks in normal operation (eviction, no persistence at all): fit to save work, unfit to guard money. Refused without
   * `locks.acceptLossy`.
   */
  readonly lossy: boolean;
  /** Other processes see the locks. */
  readonly shared: boolean;
}

/** Asks for a lock, or for a place among those who wait. */
export interface LockRequest {
  readonly owner: string;
  readonly leaseMs: number;
  /** How much longer the caller would wait. 0: no place in the queue. */
  readonly waitMs: number;
  /** A queue as long as this takes nobody more. */
  readonly maxQueue: number;
}

/** Answer to a {@link LockRequest}. */
export type LockAnswer =
  /** `fence` is 0 where the store has none (`capabilities.fencing`). */
  | { readonly outcome: 'granted'; readonly fence: bigint }
  /**
   * Held, or free but due to those who wait. `waiting` counts the queue, the caller included if it is in it. `fence` is the holder's: a
   * hand-over with a greater one was made after this answer.
   */
  | { readonly outcome: 'held'; readonly remainingMs: number; readonly waiting: number; readonly fence?: bigint }
  /** As `held`, and there is no place left to wait. */
  | { readonly outcome: 'full'; readonly remainingMs: number; readonly waiting: number };

/** `gone`: nobody held it any more. `not-owner`: somebody else does. */
export type ReleaseOutcome = 'released' | 'gone' | 'not-owner';

/** One lock as operators see it. */
export interface LockState {
  /** `undefined`: free. */
  readonly owner: string | undefined;
  readonly fence: bigint | undefined;
  readonly remainingMs: number;
  readonly waiting: number;
}

/** A lock that was handed over. */
export interface HandOver {
  readonly key: string;
  readonly fence: bigint;
}

/** What a store tells the engine of this process. */
export interface LockStoreListener {
  /**
   * A lock was handed over to an owner of this process, which is to confirm it by `acquire` or `renew` within 1 s. With
   * `grant`, which lock and under which fence, the owner need not ask first.
   */
  handed(owner: string, grant?: HandOver): void;
  /** Connected, perhaps to another server than before: its role is to be asked for. */
  connected(): void;
  /** Messages may have been missed: everybody who waits is to ask again. */
  missed(): void;
}

/** Whether the server is fit for locks. */
export interface LockStoreRole {
  /** Why it may drop keys of its own accord, for a message (`maxmemory-policy allkeys-lru`); `undefined` if it does not. */
  readonly evicts: string | undefined;
}

/**
 * What a store may reject with where the server has certainly not seen the request: nothing is then to be taken back.
 */
export class RequestNotSentError extends StoreUnavailableError {}

/** Implemented by cache stores that can also keep locks, in the same place: the default of `locks.store`. */
export interface LockStoreSource {
  lockStore(): LockStore;
}
