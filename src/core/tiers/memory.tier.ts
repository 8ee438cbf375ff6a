import type { Clock } from '../clock/clock.js';
import type { EncodedKey } from '../keys/encoded-key.js';
import type { Fence } from '../tokens/epoch.js';
import { isAlive } from '../tokens/epoch.js';
import type { Found, ValueSource } from './found.js';
import { RecentReplies } from './recent-replies.js';
import { S3FifoSlab } from './s3-fifo.slab.js';
import type { SlotIndex } from './slot.index.js';
import { SharedValue } from './stored-value.js';

export interface MemoryLimits {
  /** Default 10,000. */
  readonly maxEntries: number;
  /** Encoded bytes plus a fixed overhead per entry. Default 64 MiB. */
  readonly maxBytes: number;
  /** How long an entry may be served while changes elsewhere cannot be heard. Default 5 s. */
  readonly maxStaleWithoutBusMs: number;
}

/** Kinds of entries, as bits. Without this one the payload is the frozen value itself, so that a hit decodes and allocates nothing; with
 * it, a ValueSource that decodes for each reader. */
const PER_READER = 1;
/** Its refresh has failed. */
const HELD_OVER = 2;
/** From under a former stamp. */
const GRACED = 4;
/** What an entry costs beside its value in a tier that has been full for a while (`test/benchmark/overhead.mjs`): slot, index, key. */
const OVERHEAD_BYTES = 128;

/** So close to the end of an entry's freshness the clock is read exactly. */
const NEAR_MS = 100;

export const MISS: unique symbol = Symbol('miss');

/** The in-process tier, shared by all namespaces of an engine. Knows nothing of stores; the coherence room tells it what to forget. */
export class MemoryTier {
  private readonly slab: S3FifoSlab<unknown, Fence>;
  private readonly replies = new RecentReplies();
  /** Everything in here is void from this moment on; set when the process is cut off from news. */
  private dropAt = Infinity;
  private isCutOff = true;
  private readonly roughNow: () => number;

  constructor(
    private readonly limits: MemoryLimits,
    private readonly clock: Clock,
  ) {
    this.roughNow = clock.roughly ?? (() => clock.now());
    this.slab = new S3FifoSlab<unknown, Fence>(limits);
  }

  /** The fresh value, or MISS. The hot path: three comparisons after the look-up, no allocation. */
  fresh(slot: number | undefined): unknown {
    if (slot === undefined) return MISS;
    const { slab } = this;
    const until = Math.min(slab.freshUntil[slot] as number, this.dropAt);
    // The exact time matters only near the end.
    if (this.roughNow() + NEAR_MS >= until && this.clock.now() >= until) return MISS;
    if (!isAlive(slab.fences[slot] as Fence)) return MISS;
    slab.touch(slot);
    const payload = slab.payloads[slot];
    return ((slab.kinds[slot] as number) & PER_READER) === 0 ? payload : (payload as ValueSource).take();
  }

  /** The value, if it is fresh at this moment and nothing else is to be said of it, and all readers share it; else MISS. Allocates nothing. */
  shared(slot: number, now: number): unknown {
    if (now >= this.dropAt) return MISS;
    const { slab } = this;
    if (slab.kinds[slot] !== 0 || now >= (slab.freshUntil[slot] as number) || !isAlive(slab.fences[slot] as Fence))
      return MISS;
    slab.touch(slot);
    return slab.payloads[slot];
  }

  /** Of an entry that is there: how long ago its value was loaded. */
  ageMs(slot: number, now: number): number {
    return Math.max(0, now - (this.slab.createdAt[slot] as number));
  }

  slotOf(index: SlotIndex, key: EncodedKey): number | undefined {
    const slot = this.slab.slotOf(index, key.local, key.slot);
    if (slot !== undefined) key.slot = slot;
    return slot;
  }

  /** As {@link fresh}, as a promise, which the readers of a shared value may share; `undefined` where there is none. */
  answer(slot: number | undefined): Promise<unknown> | undefined {
    const value = this.fresh(slot);
    if (value === MISS) return undefined;
    const { slab } = this;
    const at = slot as number;
    return ((slab.kinds[at] as number) & PER_READER) === 0 ? slab.answer(at) : Promise.resolve(value);
  }

  /** The entry with its life, stale or not, or `undefined`. */
  find(slot: number | undefined): Found | undefined {
    if (slot === undefined) return undefined;
    const { slab } = this;
    const now = this.clock.now();
    if (now >= this.dropAt) {
      this.clear();
      this.dropAt = Infinity;
      return undefined;
    }
    const fence = slab.fences[slot] as Fence;
    if (now >= (slab.expiresAt[slot] as number) || !isAlive(fence)) return undefined;
    slab.touch(slot);
    const payload = slab.payloads[slot];
    const kind = slab.kinds[slot] as number;
    return {
      value: (kind & PER_READER) === 0 ? new SharedValue(payload) : (payload as ValueSource),
      tier: 'memory',
      createdAt: slab.createdAt[slot] as number,
      freshUntil: slab.freshUntil[slot] as number,
      expiresAt: Math.min(slab.expiresAt[slot] as number, this.dropAt),
      fence,
      isHeldOver: (kind & HELD_OVER) !== 0,
      isGraced: (kind & GRACED) !== 0,
      bytes: slab.sizeOf(slot) - OVERHEAD_BYTES,
    };
  }

  insert(index: SlotIndex, key: string, found: Found, alone = false): void {
    const now = this.clock.now();
    const cap = this.isCutOff || alone ? now + this.limits.maxStaleWithoutBusMs : Infinity;
    this.replies.note(this.put(index, key, found, cap), now);
  }

  /** What came with a report, to be served for `forMs` at most. */
  insertReported(index: SlotIndex, key: string, found: Found, forMs: number): void {
    const mostMs = this.isCutOff ? Math.min(forMs, this.limits.maxStaleWithoutBusMs) : forMs;
    this.put(index, key, found, mostMs === Infinity ? Infinity : this.clock.now() + mostMs);
  }

  /** Whether the key is there, and nothing that is known of it but by reports is of this moment or later. */
  isOlder(index: SlotIndex, key: string, moment: number): boolean {
    const slot = index.get(key);
    return slot !== undefined && this.replies.last(slot) < moment;
  }

  private put(index: SlotIndex, key: string, found: Found, cap: number): number {
    const { value } = found;
    return this.slab.insert(
      index,
      key,
      value.perReader ? (value.keep?.() ?? value) : value.take(),
      found.fence,
      (value.perReader ? PER_READER : 0) | (found.isHeldOver ? HELD_OVER : 0) | (found.isGraced ? GRACED : 0),
      found.bytes + OVERHEAD_BYTES,
      Math.min(found.freshUntil, cap),
      Math.min(found.expiresAt, cap),
      found.createdAt,
    );
  }

  remove(index: SlotIndex, key: string): void {
    const slot = index.get(key);
    if (slot !== undefined) this.slab.remove(slot);
  }

  removeAll(index: SlotIndex): void {
    for (const slot of index.values()) this.slab.remove(slot);
  }

  clear(): void {
    this.slab.clear();
  }

  /** Changes elsewhere have gone unheard for so long: what is here has a little more to live, what comes is capped. */
  cutOff(silentMs: number): void {
    if (this.isCutOff) return;
    this.isCutOff = true;
    this.dropAt = this.clock.now() + this.limits.maxStaleWithoutBusMs - silentMs;
  }

  /** Changes are heard again; what is here may have missed some. */
  reconnected(): void {
    this.clear();
    this.isCutOff = false;
    this.dropAt = Infinity;
  }

  get entries(): number {
    return this.slab.entries;
  }

  get bytes(): number {
    return this.slab.bytes;
  }

  get evictions(): number {
    return this.slab.evictions;
  }
}
