import type { Namespace } from '../namespace.js';
import type { Found } from './found.js';

/** A power of two; an entry's version has one place, by its random id. */
const PLACES = 4096;
const WORDS = 3;

/** What a version of an entry came to when it was read: sound, of this key, and under these tokens. */
export interface KnownVersion {
  readonly namespace: Namespace;
  readonly storeKey: string;
  /** Of the frame. */
  readonly size: number;
  /** Of the store's time. */
  readonly expiresAt: number;
  readonly found: Found;
  /** What the store's clock was ahead of ours, by which the times of `found` are told. */
  readonly offset: number;
}

/**
 * Versions of entries with frozen values that were read more than once, so that what is read from the remote tier again and again (without a
 * memory tier, or after it was dropped there) is checked and parsed once. It holds them weakly: they take no memory that a garbage collection
 * could not have back. Never stale: each frame is read, and tells its version by id and checksum.
 */
export class RecentVersions {
  /** Checksum and id of the version that was last decoded in each place. */
  private readonly words = new Uint32Array(PLACES * WORDS);
  private readonly values: Array<WeakRef<object> | undefined> = [];
  private readonly versions: Array<WeakRef<KnownVersion> | undefined> = [];

  /** @param frame of any length, and content */
  find(frame: Uint8Array): KnownVersion | undefined {
    const place = placeOf(frame);
    const version = this.versions[place];
    return version !== undefined && this.isOf(place, frame) ? version.deref() : undefined;
  }

  /** Its value, which somebody may hold for longer than we do what is known of the version. */
  value(frame: Uint8Array): object | undefined {
    const place = placeOf(frame);
    return this.isOf(place, frame) ? this.values[place]?.deref() : undefined;
  }

  /** Kept from the second time on: what is read once is to die young. */
  note(frame: Uint8Array, value: unknown): void {
    const place = placeOf(frame);
    if (!this.isOf(place, frame)) {
      for (let word = 0; word < WORDS; word++) this.words[place * WORDS + word] = wordAt(frame, 4 + 4 * word);
      this.values[place] = this.versions[place] = undefined;
    } else if (typeof value === 'object' && value !== null) this.values[place] = new WeakRef(value);
  }

  /** Whether {@link note} has kept its value. */
  isKept(frame: Uint8Array): boolean {
    const place = placeOf(frame);
    return this.values[place] !== undefined && this.isOf(place, frame);
  }

  keep(frame: Uint8Array, version: KnownVersion): void {
    if (this.isKept(frame)) this.versions[placeOf(frame)] = new WeakRef(version);
  }

  private isOf(place: number, frame: Uint8Array): boolean {
    for (let word = 0; word < WORDS; word++)
      if (this.words[place * WORDS + word] !== wordAt(frame, 4 + 4 * word)) return false;
    return true;
  }
}

function placeOf(frame: Uint8Array): number {
  return wordAt(frame, 8) & (PLACES - 1);
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0
  );
}
