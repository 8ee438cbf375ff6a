/**
 * What backs the shared (remote) tier. The engine asks a store for nothing more than these operations, so that Redis, Memcached and
 * SQL can all keep the same promises. Every operation is one atomic step in the store.
 *
 * Keys are ASCII, at most 200 characters, and contain no white space or control characters; the store puts its own prefix in front.
 * A *frame* is bytes of which a store need know no more than this: the first 16 differ between any two writes, so they identify one version,
 * and {@link freshUntilOf} reads until when it is fresh.
 *
 * How an operation maps to other servers:
 *
 * | operation | Memcached meta commands | SQL (one statement) |
 * |---|---|---|
 * | `read` | `mg k v c` pipelined | `SELECT key, frame FROM entry WHERE key IN (...) AND expires > now()` |
 * | `acquire` | `mg k v c t N<lease>` (W = won, Z = held); a frame already `seen` is first marked `md k C<cas> I T<lease>` | `INSERT ... ON CONFLICT DO UPDATE SET token=? WHERE lease_until < now() AND identity = seen RETURNING frame, token, lease_until` |
 * | `renew` | `mg` of the lease record, then `ms` with its `C<cas>` | `UPDATE ... SET lease_until = now()+? WHERE key=? AND token=?` |
 * | `fill` | `ms k C<cas of the lease>` | `UPDATE ... SET frame=?, token=NULL WHERE key=? AND token=? AND lease_until > now()` |
 * | `release` | `md k C<cas of the lease>` | `UPDATE ... SET token=NULL WHERE key=? AND token=?` |
 * | `write` | `ms k` (with `C<cas>` when conditional, `ME` for absent) | `INSERT ... ON CONFLICT DO UPDATE SET frame=?, token=NULL [WHERE identity=?]` |
 * | `remove` | `md k` | `DELETE FROM entry WHERE key IN (...)` |
 * | `tokens` | `mg`, then `ms ME` for the missing ones and `mg` again | `INSERT ... ON CONFLICT DO UPDATE SET token=token.token RETURNING` |
 * | `rotate` | `ms` | `INSERT ... ON CONFLICT DO UPDATE SET token=? RETURNING` |
 * | `stamp` | `mg`, then `ms C<cas>` unless it says so already | `INSERT ... ON CONFLICT DO UPDATE SET token=? WHERE stamp <> ? OR until > ? RETURNING` |
 * | `now` | the server's `time` in `stats` | `SELECT clock_timestamp()` |
 *
 * An operation that fails (connection, server error) rejects; the engine adds the deadline, the circuit breaker and the fail-open rule.
 */
export interface CacheStore {
  /** Short name for messages and metrics, e.g. `redis`. Never contains an address or a credential. */
  readonly name: string;
  readonly capabilities: StoreCapabilities;

  /** Begins to connect in the background and to report to `listener`. Never throws and never waits: a store may be down at boot. */
  open(listener: StoreListener): void;

  /**
   * The frames of `keys`, in order; `undefined` where there is none (or it has expired). Calls of one tick may travel together, but
   * {@link READS_AT_ONCE} keys wait for no more.
   */
  read(keys: readonly string[]): Promise<Array<Uint8Array | undefined>>;

  /**
   * "The value, or the lease, or who holds it": one atomic step.
   * A frame that is there and is not `request.seen` is returned as `value`, unless it is not fresh any more by the store's time. Otherwise the
   * lease is granted if nobody holds it, if `request.token` itself already holds it (a repeated call is not refused), if its holder's `fence`
   * differs from ours (what that holder loads is void already), or if `steal` is set; a frame that is there and was not seen comes with the
   * answer, so that of many who find a stale value at once each needs one answer. A store that cannot tell whether a frame is fresh may
   * return it as `value`: then there is one more question.
   */
  acquire(key: string, request: LeaseRequest): Promise<Acquired>;

  /** Prolongs a lease that `token` still holds; `false` when it does not hold it any more. Never re-creates one. */
  renew(key: string, token: string, leaseMs: number): Promise<boolean>;

  /** Stores the frame only if `token` still holds the lease, and gives the lease up in the same step. `false`: nothing was stored. */
  fill(key: string, token: string, frame: Uint8Array, ttlMs: number): Promise<boolean>;

  /** Gives up a lease that `token` holds (otherwise does nothing) and wakes those who wait for it. */
  release(key: string, token: string): Promise<void>;

  /** Stores the frame and destroys any lease in the same step, unless `condition` does not hold; then nothing changes. */
  write(key: string, frame: Uint8Array, ttlMs: number, condition?: WriteCondition): Promise<WriteOutcome>;

  /** Removes frames and destroys leases (also where there is no frame). Resolves to the number of frames that were there. */
  remove(keys: readonly string[]): Promise<number>;

  /**
   * The current token of each name, in order; a missing one is created (random, never a counter) atomically.
   * A token begins with the store's time of its rotation in microseconds, base 36, and a `.`; one created here begins with `0.`. Times of
   * tokens and leases never go back, and a rotation after a lease was granted has a later time.
   */
  tokens(names: readonly string[]): Promise<string[]>;

  /**
   * Replaces the token of each name by a new unique one and returns the new ones, in order.
   * @param soft what carries the token of before becomes stale, not void: the new token is that one as far as its `~` if it
   * has one, a `~`, and a new time and random part. A missing token is replaced in whole. A store that cannot do it may ignore it.
   */
  rotate(names: readonly string[], soft?: boolean): Promise<string[]>;

  /**
   * Makes the token say `stamp` and returns it: one that says another stamp, or none, is replaced by `<new token>`{@link STAMP_MARK}`<stamp>`, as by
   * `rotate`; one that says it already stays, so that many may announce the same. With `graceMs` the token that is replaced (its part in
   * front of the mark) is named until when it may still do, in the store's milliseconds: `<new token>!<stamp>!<old token>!<until>`. Of several
   * graces with one stamp the shortest holds; a missing token has none.
   * @param stamp letters, digits, `_` and `-`
   */
  stamp(name: string, stamp: string, graceMs: number): Promise<string>;

  /**
   * One step through the entries whose keys begin with `prefix` (taken literally), for maintenance: from the beginning without a `cursor`, else
   * from where the step that gave it has ended. What is there all the while is found at least once, in some step. Only with the capability.
   */
  scan?(prefix: string, cursor: string | undefined): Promise<ScanStep>;

  /** The store's own clock, in milliseconds. Any epoch; only differences and comparisons with other readings of it matter. */
  now(): Promise<number>;

  /** Closes what this store opened itself; idempotent. Operations after it reject. */
  close(): Promise<void>;
}

/** In a token, in front of the part that a soft rotation replaces. */
export const SOFT_MARK = '~';

/** Between the parts of a token that says a stamp. */
export const STAMP_MARK = '!';

/** What one step of a scan has found. */
export interface ScanStep {
  readonly keys: readonly string[];
  /** Where to go on; `undefined` at the end. */
  readonly cursor: string | undefined;
}

/** So many reads are sent without waiting for more: the server begins with them while others are still being asked. */
export const READS_AT_ONCE = 64;

/** How many leading bytes of a frame identify one version of one entry. */
export const FRAME_IDENTITY_BYTES = 16;

/** Where a frame says until when it is fresh: a big-endian float64, in milliseconds of the store's time. */
export const FRESH_UNTIL_OFFSET = 24;
/** To read that, a store needs no more than so many leading bytes. */
export const FRAME_HEAD_BYTES = FRESH_UNTIL_OFFSET + 8;

/** As {@link CacheStore.now} tells the time. What is too short to be a frame is for its reader to judge: fresh for ever. */
export function freshUntilOf(frame: Uint8Array): number {
  if (frame.byteLength < FRAME_HEAD_BYTES) return Infinity;
  return new DataView(frame.buffer, frame.byteOffset).getFloat64(FRESH_UNTIL_OFFSET);
}

/** What a store can do; features that need what it lacks are refused at boot by name. */
export interface StoreCapabilities {
  /** Grants leases atomically, so that one process in the fleet computes a cold key. */
  readonly lease: boolean;
  /** Supports conditional `write`. */
  readonly cas: boolean;
  /** Reports changes made by other processes to the listener. */
  readonly bus: boolean;
  /** Keeps bytes as they are. */
  readonly binary: boolean;
  /** May drop entries before their time. */
  readonly evicts: boolean;
  /** Can go through its entries by prefix. */
  readonly scan: boolean;
  /** Survives a restart of the server. */
  readonly durable: boolean;
  /** Keeps anything at all; `false` only for the kill switch `none`, for which the engine passes every call through. */
  readonly stores: boolean;
}

/** What a store tells the engine of this process. The engine makes no assumption on whether its own writes are reported back to it. */
export interface StoreListener {
  /** Entries were written, removed, evicted or have expired, by whomever; removals also where there was nothing. */
  changed(keys: readonly string[]): void;
  /**
   * As {@link changed}, for one entry that is `frame` since `at` of the store's time, in milliseconds: who remembers it from before may go on with
   * that, instead of asking, for `forMs` at most. What happened to it since is reported after it; only what another program did to it in that
   * very moment may be missed.
   */
  updated(key: string, frame: Uint8Array, at: number, forMs: number): void;
  /** Everything may have changed (e.g. FLUSHALL). */
  flushed(): void;
  /** Leases were given up: who waits for one may ask again. What the store keeps is what it was. */
  released(keys: readonly string[]): void;
  /** Tokens were replaced or dropped. */
  rotated(names: readonly string[]): void;
  /** From now on every change made through this package is reported. What happened before may have been missed. */
  heard(): void;
  /**
   * Changes may go unreported from now on.
   * @param silentMs for so long they may have already: when that is found out, a link may have been dead for seconds. Default 0.
   */
  lost(silentMs?: number): void;
}

/** Asks for the right to fill a key. */
export interface LeaseRequest {
  /** Unique per attempt. */
  readonly token: string;
  readonly leaseMs: number;
  /** A frame the caller has already read and judged unusable. */
  readonly seen?: Uint8Array | undefined;
  /** Describes the tokens the loader's result will carry; a holder with another fence loads something that is void already. */
  readonly fence: string;
  /** Takes the lease from whoever holds it and ignores any frame (forced refresh). */
  readonly steal?: boolean;
}

/** Answer to a {@link LeaseRequest}: the value, the right to fill, or how long somebody else still has it; `stale`: what is there all the same. */
export type Acquired =
  | { readonly outcome: 'value'; readonly frame: Uint8Array }
  /** `grantedAt` is the store's time in microseconds, comparable with that in tokens. */
  | { readonly outcome: 'lease'; readonly grantedAt: number; readonly stale?: Uint8Array | undefined }
  | { readonly outcome: 'held'; readonly remainingMs: number; readonly stale?: Uint8Array | undefined };

/** Write only if the current frame is `seen`, or (with `absent`) if there is no frame. */
export interface WriteCondition {
  readonly seen?: Uint8Array | undefined;
  readonly absent?: boolean;
}

/** Whether a write took place. */
export type WriteOutcome =
  | { readonly written: true }
  /** `frame` is the one that stood in the way, if any. */
  | { readonly written: false; readonly frame?: Uint8Array | undefined };

/** Both frames are the same version of the same entry. */
export function sameFrame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (a === b) return true;
  const length = Math.min(FRAME_IDENTITY_BYTES, Math.max(a.length, b.length));
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}
