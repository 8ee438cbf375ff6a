import { CacheUsageError } from '../errors/cache.error.js';
import { GhostTable } from './ghost.table.js';
import { S3FifoQueues, SMALL_SHARE } from './s3-fifo.queues.js';
import { SettledAnswers } from './settled-answers.js';
import { hashOf, SlotKeys, type SlotIndex } from './slot.index.js';

export interface SlabLimits {
  /** At most 2^23 = 8,388,608 count. */
  readonly maxEntries: number;
  readonly maxBytes: number;
}

const FIRST_CAPACITY = 1024;
const MOST_ENTRIES = 2 ** 23;

/**
 * The entries of all namespaces of one memory tier, bounded by number and by bytes, without an object per entry;
 * S3-FIFO decides which ones go. Growth replaces the arrays, so read them through the slab each time. A slot number
 * is good until the next insert, remove or clear.
 *
 * @throws CacheUsageError `invalid_option` when `maxEntries` is below 1 or `maxBytes` below 0, or either is no number.
 * @example
 * const slot = slab.insert(index, 'a', value, fence, 0, 120, now + 1_000, now + 5_000);
 * if (slab.expiresAt[slot] > now) slab.touch(slot);
 */
export class S3FifoSlab<P, F> {
  payloads: Array<P | undefined> = [];
  fences: Array<F | undefined> = [];
  /** As given by the caller; Infinity in a free slot. */
  expiresAt = new Float64Array(0);
  freshUntil = new Float64Array(0);
  createdAt = new Float64Array(0);
  kinds = new Uint8Array(0);
  /** Entries that had to go for others since the slab exists. */
  evictions = 0;
  /** The largest entry that is taken, in bytes: a larger one would cost too many others their place. */
  readonly maxEntryBytes: number;

  private readonly maxEntries: number;
  private readonly answers = new SettledAnswers<P>();
  private slots = new SlotKeys();
  private indexes: SlotIndex[] = [];
  private queues: S3FifoQueues;
  private ghost = new GhostTable();

  /** `onEvict` hears of entries that had to go for others, not of removed or overwritten ones; it must not call the slab. */
  constructor(
    private readonly limits: SlabLimits,
    private readonly onEvict?: (index: SlotIndex, key: string, payload: P) => void,
  ) {
    const { maxEntries, maxBytes } = limits;
    if (!(maxEntries >= 1) || !(maxBytes >= 0)) {
      throw new CacheUsageError(
        'invalid_option',
        `memory.maxEntries must be at least 1 and memory.maxBytes at least 0; got ${maxEntries} and ${maxBytes}`,
      );
    }
    this.maxEntries = Math.min(Math.floor(maxEntries), MOST_ENTRIES);
    this.maxEntryBytes = Math.min(Math.floor(maxBytes * SMALL_SHARE), 2 ** 32 - 1);
    this.queues = new S3FifoQueues(this.maxEntries, maxBytes);
  }

  get entries(): number {
    return this.queues.entries;
  }

  get bytes(): number {
    return this.queues.bytes;
  }

  /**
   * Inserts or overwrites, and returns the slot. Evicts first, so that the limits hold at every moment. An overwritten
   * entry keeps its place and its reads. Returns -1 for a `size` above `maxEntryBytes`: the key is then absent.
   */
  insert(
    index: SlotIndex,
    key: string,
    payload: P,
    fence: F,
    kind: number,
    size: number,
    freshUntil: number,
    expiresAt: number,
    createdAt = 0,
  ): number {
    const hash = hashOf(key);
    let slot = index.find(key, hash) ?? -1;
    if (!(size >= 0 && size <= this.maxEntryBytes)) {
      if (slot >= 0) this.remove(slot);
      return -1;
    }
    const bytes = Math.ceil(size);
    if (slot < 0) {
      slot = this.admit(index, key, hash, bytes);
    } else {
      this.makeRoom(0, bytes - (this.queues.sizes[slot] as number), slot);
      this.queues.resize(slot, bytes);
    }
    this.payloads[slot] = payload;
    this.answers.forget(slot);
    this.fences[slot] = fence;
    this.kinds[slot] = kind;
    this.freshUntil[slot] = freshUntil;
    this.expiresAt[slot] = expiresAt;
    this.createdAt[slot] = createdAt;
    return slot;
  }

  /** The slot of a key that was at `hint` when it was last looked for. */
  slotOf(index: SlotIndex, key: string, hint: number): number | undefined {
    const isThere = this.slots.keys[hint] === key && this.slots.owners[hint] === index.owner;
    return isThere ? hint : index.get(key);
  }

  /** The payload as a settled promise, for a while the same one. */
  answer(slot: number): Promise<P> {
    return this.answers.of(slot, this.payloads[slot] as P);
  }

  sizeOf(slot: number): number {
    return this.queues.sizes[slot] as number;
  }

  /** Counts a read of the slot. */
  touch(slot: number): void {
    this.queues.touch(slot);
  }

  /** Removes the entry, also from its index; a free slot is left alone. */
  remove(slot: number): void {
    const { keys, owners } = this.slots;
    if (keys[slot] === undefined) return;
    this.indexes[owners[slot] as number]?.leave(slot);
    this.queues.leave(slot);
    keys[slot] = undefined;
    this.payloads[slot] = this.fences[slot] = undefined;
    this.answers.forget(slot);
    this.expiresAt[slot] = Infinity;
  }

  /** Empties every index and gives the memory back; `evictions` stays. */
  clear(): void {
    for (const index of this.indexes) index.clear();
    this.indexes = [];
    this.slots = new SlotKeys();
    this.payloads = [];
    this.answers.clear();
    this.fences = [];
    this.expiresAt = this.freshUntil = this.createdAt = new Float64Array(0);
    this.kinds = new Uint8Array(0);
    this.queues = new S3FifoQueues(this.maxEntries, this.limits.maxBytes);
    this.ghost = new GhostTable();
  }

  private admit(index: SlotIndex, key: string, hash: number, size: number): number {
    if (index.owner < 0) index.owner = this.indexes.push(index) - 1;
    // Asked before the evictions below can make it forget.
    const cameBack = this.ghost.take(GhostTable.hash(hash, index.owner));
    this.makeRoom(1, size, -1);
    if (this.queues.free() < 0) this.grow();
    const slot = this.queues.free();
    const { slots } = this;
    slots.keys[slot] = key;
    slots.hashes[slot] = hash;
    slots.owners[slot] = index.owner;
    index.enter(slots, slot);
    this.queues.enter(slot, size, cameBack);
    return slot;
  }

  private makeRoom(entries: number, bytes: number, keep: number): void {
    for (;;) {
      const slot = this.queues.victim(entries, bytes, keep);
      if (slot < 0) return;
      const { keys, hashes, owners } = this.slots;
      const owner = owners[slot] as number;
      const key = keys[slot] as string;
      const payload = this.payloads[slot] as P;
      if (!this.queues.isInMain(slot)) this.ghost.add(GhostTable.hash(hashes[slot] as number, owner));
      this.remove(slot);
      this.evictions++;
      this.onEvict?.(this.indexes[owner] as SlotIndex, key, payload);
    }
  }

  /** Doubles, but stops at exactly `maxEntries`, so that a full slab has no slack. */
  private grow(): void {
    const { slots } = this;
    const capacity = Math.min(this.maxEntries, Math.max(FIRST_CAPACITY, 2 * slots.keys.length));
    slots.keys = grownArray(slots.keys, capacity);
    slots.hashes = copied(new Int32Array(capacity), slots.hashes);
    slots.owners = copied(new Uint32Array(capacity), slots.owners);
    slots.next = copied(new Uint32Array(capacity), slots.next);
    this.payloads = grownArray(this.payloads, capacity);
    this.fences = grownArray(this.fences, capacity);
    this.expiresAt = grownNumbers(this.expiresAt, capacity);
    this.freshUntil = grownNumbers(this.freshUntil, capacity);
    this.createdAt = grownNumbers(this.createdAt, capacity);
    this.kinds = copied(new Uint8Array(capacity), this.kinds);
    this.queues.grow(capacity);
    this.ghost.resize(capacity * (1 - SMALL_SHARE));
  }
}

/** Growing an array in place would reserve half as much again, and `Array.from` takes five times as long. */
function grownArray<T>(old: ReadonlyArray<T | undefined>, capacity: number): Array<T | undefined> {
  const grown: Array<T | undefined> = [];
  grown.length = capacity;
  for (let slot = 0; slot < capacity; slot++) grown[slot] = slot < old.length ? old[slot] : undefined;
  return grown;
}

function copied<T extends Int32Array | Uint32Array | Uint8Array>(target: T, source: T): T {
  target.set(source);
  return target;
}

function grownNumbers(old: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const grown = new Float64Array(capacity).fill(Infinity);
  grown.set(old);
  return grown;
}
