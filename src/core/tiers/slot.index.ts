import { randomInt } from 'node:crypto';

const FIRST_BUCKETS = 16;
/** For each bucket, so that few share one; and of all, to stay in a processor's cache. */
const HINTS_PER_BUCKET = 8;
const MOST_HINTS = 8192;
/** Shorter keys are hashed as quickly as they are looked at. */
const HINTED_LENGTH = 6;
/** Nobody outside can tell which keys meet in one bucket. */
const SEED = randomInt(2 ** 32) | 0;

/** What a slab knows of its slots, by which its indexes find them. Growth replaces the arrays. */
export class SlotKeys {
  keys: Array<string | undefined> = [];
  /** {@link hashOf} of the key. */
  hashes = new Int32Array(0);
  /** The index that the key is in. */
  owners = new Uint32Array(0);
  /** The next slot of the same bucket, and 1; 0 ends it. */
  next = new Uint32Array(0);
}

const NONE = new SlotKeys();
const NO_SLOTS = new Uint32Array(0);

/**
 * Where one namespace's keys live: key -> slot. A Map that entries come to and go from has 2 to 4 places of 28 bytes for each, and hashes a text
 * that was just put together by a call into the runtime; this has 8 bytes in the slab's slots and 4 to 8 here, nothing that is left behind by
 * what has gone, and hashes where it is called from.
 */
export class SlotIndex {
  size = 0;
  /** By which the slab knows it. */
  owner = -1;
  private slots = NONE;
  /** The first slot of each, and 1. */
  private buckets = NO_SLOTS;
  /** Where keys that are asked for again and again were found, by a few of their characters. */
  private hints = NO_SLOTS;
  private samples = new Int32Array(0);
  private shift = 0;

  constructor() {
    this.resize(FIRST_BUCKETS);
  }

  get(key: string): number | undefined {
    const { length } = key;
    const { slots } = this;
    if (length < HINTED_LENGTH) return this.find(key, hashOf(key));
    const sample = sampleOf(key, length);
    const { hints, samples } = this;
    const at = sample >>> this.shift;
    if (samples[at] === sample) {
      const hint = hints[at] as number;
      if (slots.keys[hint] === key && slots.owners[hint] === this.owner) return hint;
    }
    const slot = this.find(key, hashOf(key));
    if (slot !== undefined) {
      samples[at] = sample;
      hints[at] = slot;
    }
    return slot;
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  /** By a hash that is known already. */
  find(key: string, hash: number): number | undefined {
    const { hashes, keys, next } = this.slots;
    let link = this.buckets[hash & (this.buckets.length - 1)] as number;
    while (link !== 0) {
      if (hashes[link - 1] === hash && keys[link - 1] === key) return link - 1;
      link = next[link - 1] as number;
    }
    return undefined;
  }

  /** The slot whose number is out may be removed; nothing may be entered meanwhile. */
  *values(): Generator<number> {
    const { next } = this.slots;
    for (const first of this.buckets)
      for (let link = first, after; link !== 0; link = after) {
        after = next[link - 1] as number;
        yield link - 1;
      }
  }

  *keys(): Generator<string> {
    for (const slot of this.values()) yield this.slots.keys[slot] as string;
  }

  /** For the slab: a slot whose key, hash and owner it has set. */
  enter(slots: SlotKeys, slot: number): void {
    if (this.slots !== slots && this.slots !== NONE) throw new Error('an index belongs to one slab');
    this.slots = slots;
    if (++this.size > this.buckets.length) this.grow();
    this.link(slot);
  }

  /** For the slab. */
  leave(slot: number): void {
    const { hashes, next } = this.slots;
    const bucket = (hashes[slot] as number) & (this.buckets.length - 1);
    let link = this.buckets[bucket] as number;
    if (link === slot + 1) this.buckets[bucket] = next[slot] as number;
    else {
      while (next[link - 1] !== slot + 1) link = next[link - 1] as number;
      next[link - 1] = next[slot] as number;
    }
    this.size--;
  }

  /** For the slab. */
  clear(): void {
    this.size = 0;
    this.owner = -1;
    this.slots = NONE;
    this.resize(FIRST_BUCKETS);
  }

  private link(slot: number): void {
    const { hashes, next } = this.slots;
    const bucket = (hashes[slot] as number) & (this.buckets.length - 1);
    next[slot] = this.buckets[bucket] as number;
    this.buckets[bucket] = slot + 1;
  }

  /** All are empty then. */
  private resize(buckets: number): void {
    this.buckets = new Uint32Array(buckets);
    const hints = Math.min(MOST_HINTS, HINTS_PER_BUCKET * buckets);
    if (hints === this.hints.length) return;
    this.hints = new Uint32Array(hints);
    this.samples = new Int32Array(hints);
    this.shift = Math.clz32(hints) + 1;
  }

  private grow(): void {
    const { buckets, slots } = this;
    this.resize(2 * buckets.length);
    for (const first of buckets)
      for (let link = first, after; link !== 0; link = after) {
        after = slots.next[link - 1] as number;
        this.link(link - 1);
      }
  }
}

/** Of all of its characters. */
export function hashOf(key: string): number {
  let hash = SEED;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

function sampleOf(key: string, length: number): number {
  const middle = length >> 1;
  const end = key.charCodeAt(length - 1) ^ (key.charCodeAt(length - 2) << 7);
  const inside =
    (key.charCodeAt(middle) << 14) ^ (key.charCodeAt(middle + 1) << 21) ^ (key.charCodeAt(middle - 1) << 26);
  return Math.imul(end ^ inside ^ (length << 11), 0x9e3779b1);
}
