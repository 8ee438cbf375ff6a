import { systemClock, type Clock } from '../../core/clock/clock.js';
import { OldestKeys } from '../../core/oldest-keys.js';
import { ownBytes } from '../../core/own-bytes.js';
import { randomText } from '../../core/random/random.text.js';
import { SOFT_MARK, STAMP_MARK, type ScanStep, type StoreListener } from '../contract/cache-store.js';

/** Entries looked at in one step of a scan. */
const SCAN_STEP = 1000;

/** Bounds and clock of a {@link MemoryDatabase}. */
export interface MemoryDatabaseOptions {
  /** Default: the process's monotonic clock. */
  clock?: Clock | undefined;
  /** Frames kept at most; the oldest go first. The same bound holds for tokens. Default 50 000. */
  maxEntries?: number | undefined;
  /** Bytes of keys and frames kept at most. Default 64 MiB. */
  maxBytes?: number | undefined;
}

export interface MemoryLease {
  readonly token: string;
  readonly fence: string;
  until: number;
  /** Somebody else has asked for it. */
  isWanted?: boolean;
}

interface Entry {
  readonly frame: Uint8Array;
  readonly expires: number;
  /** Rises with each write, as the order of the table does. */
  readonly order: number;
}

/**
 * What a remote server would hold, in this process: several {@link MemoryStore} sessions on one database behave like several
 * processes on one server. Frames are handed out by reference: nobody may change a frame's bytes.
 * @example const database = new MemoryDatabase({ clock }); const a = new MemoryStore({ database }), b = new MemoryStore({ database });
 */
export class MemoryDatabase {
  readonly clock: Clock;
  /** Listeners of the open sessions. */
  readonly sessions = new Set<StoreListener>();
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  readonly #entries = new Map<string, Entry>();
  readonly #leases = new Map<string, MemoryLease>();
  readonly #tokens = new Map<string, string>();
  readonly #oldestEntries = new OldestKeys(this.#entries);
  readonly #oldestTokens = new OldestKeys(this.#tokens);
  #bytes = 0;
  #moment = 0;
  #writes = 0;
  #putsUntilSweep = 1000;

  constructor(options: MemoryDatabaseOptions = {}) {
    this.clock = options.clock ?? systemClock;
    this.#maxEntries = options.maxEntries ?? 50_000;
    this.#maxBytes = options.maxBytes ?? 64 * 1024 * 1024;
  }

  /** Frames held now, expired ones that nobody has met yet included. */
  get size(): number {
    return this.#entries.size;
  }

  /** Bytes of keys and frames held now. */
  get bytes(): number {
    return this.#bytes;
  }

  frame(key: string, by?: StoreListener): Uint8Array | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.expires > this.clock.now()) return entry.frame;
    this.drop(key);
    this.tell(by, (listener) => listener.changed([key]));
    return undefined;
  }

  put(key: string, frame: Uint8Array, ttlMs: number): void {
    this.drop(key);
    if (--this.#putsUntilSweep <= 0) this.#sweep();
    if (key.length + frame.byteLength > this.#maxBytes) return; // evicted at once, rather than everything else
    this.#entries.set(key, {
      frame: ownBytes(frame),
      expires: this.clock.now() + Math.max(1, ttlMs),
      order: ++this.#writes,
    });
    this.#bytes += key.length + frame.byteLength;
    this.#shrink();
  }

  /** One step through the entries written so far; those written since the first step may be met or not. */
  scan(prefix: string, after: number): ScanStep {
    const keys: string[] = [];
    let looked = 0;
    for (const [key, entry] of this.#entries) {
      if (entry.order <= after) continue;
      if (key.startsWith(prefix)) keys.push(key);
      if (++looked === SCAN_STEP) return { keys, cursor: String(entry.order) };
    }
    return { keys, cursor: undefined };
  }

  /** Whether there was a live frame. */
  drop(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#entries.delete(key);
    this.#bytes -= key.length + entry.frame.byteLength;
    return entry.expires > this.clock.now();
  }

  /** The lease that is in force; an expired one is free. */
  lease(key: string): MemoryLease | undefined {
    const lease = this.#leases.get(key);
    if (lease === undefined || lease.until > this.clock.now()) return lease;
    this.#leases.delete(key);
    return undefined;
  }

  grant(key: string, token: string, fence: string, leaseMs: number): void {
    this.#leases.set(key, { token, fence, until: this.clock.now() + leaseMs });
  }

  /** Forgets who holds the key, telling nobody (as an evicting server does). Whether a lease was in force. */
  dropLease(key: string): boolean {
    const held = this.lease(key) !== undefined;
    this.#leases.delete(key);
    return held;
  }

  /** Microseconds that never stand still. */
  moment(): number {
    return (this.#moment = Math.max(this.#moment + 1, Math.floor(this.clock.now() * 1000)));
  }

  token(name: string): string {
    const token = this.#tokens.get(name);
    if (token === undefined) return this.#keep(name, mint(0));
    // It is in use: others are to go first.
    this.#tokens.delete(name);
    this.#tokens.set(name, token);
    return token;
  }

  /** Without making one. */
  stored(name: string): string | undefined {
    return this.#tokens.get(name);
  }

  /** @param soft keeps the part in front of the mark, if there is a token */
  rotate(name: string, soft = false): string {
    const kept = soft ? this.#tokens.get(name)?.split(SOFT_MARK, 1)[0] : undefined;
    const fresh = mint(this.moment());
    return this.#keep(name, kept === undefined ? fresh : `${kept}${SOFT_MARK}${fresh}`);
  }

  /** The token of `name`, another one unless it says `stamp` already and has no longer grace. */
  stamp(name: string, stamp: string, graceMs: number): string {
    const before = this.#tokens.get(name);
    const [own, said, former, until] = before?.split(STAMP_MARK) ?? [];
    const ends = Math.floor(this.clock.now() + graceMs);
    const isSaid = before !== undefined && said === stamp;
    if (isSaid && (former === undefined || Number(until) <= ends)) return before;
    const token = [isSaid ? own : mint(this.moment()), stamp];
    const graced = isSaid ? former : own;
    if (graced !== undefined && graceMs > 0) token.push(graced, String(ends));
    return this.#keep(name, token.join(STAMP_MARK));
  }

  #keep(name: string, token: string): string {
    this.#tokens.set(name, token);
    if (this.#tokens.size > this.#maxEntries) this.#dropOldestToken();
    return token;
  }

  /** Drops everything, as FLUSHALL or an empty replica does, and tells every session. */
  flush(): void {
    this.#entries.clear();
    this.#leases.clear();
    this.#tokens.clear();
    this.#bytes = 0;
    this.tell(undefined, (listener) => listener.flushed());
  }

  /** Tells every session but the one that did it. */
  tell(by: StoreListener | undefined, say: (listener: StoreListener) => void): void {
    for (const listener of this.sessions) if (listener !== by) say(listener);
  }

  #shrink(): void {
    const evicted: string[] = [];
    while (this.#entries.size > this.#maxEntries || this.#bytes > this.#maxBytes) {
      const key = this.#oldestEntries.take() as string;
      this.drop(key);
      evicted.push(key);
    }
    if (evicted.length > 0) this.tell(undefined, (listener) => listener.changed(evicted));
  }

  #dropOldestToken(): void {
    const name = this.#oldestTokens.take() as string;
    this.#tokens.delete(name);
    this.tell(undefined, (listener) => listener.rotated([name]));
  }

  // Once per as many writes as there are records, so that its cost per write is constant.
  #sweep(): void {
    const now = this.clock.now();
    for (const [key, entry] of this.#entries) if (entry.expires <= now) this.drop(key);
    for (const [key, lease] of this.#leases) if (lease.until <= now) this.#leases.delete(key);
    for (const oldest of [this.#oldestEntries, this.#oldestTokens]) oldest.rest();
    this.#putsUntilSweep = Math.max(1000, this.#entries.size + this.#leases.size);
  }
}

function mint(moment: number): string {
  return `${moment.toString(36)}.${randomText(16)}`;
}
