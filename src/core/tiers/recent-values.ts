import type { Frame } from '../envelope/frame.js';

/** A power of two; an entry's version has one place, by its random id. */
const PLACES = 4096;
const WORDS = 3;

/**
 * Frozen values of versions of entries that were decoded more than once, so that a value which is read from the remote tier again and again
 * (without a memory tier, or after it was dropped there) is parsed once. It holds them weakly: they take no memory that a garbage collection
 * could not have back. Never stale: each frame is read, checked and judged as ever, and finds its value by id and checksum.
 */
export class RecentValues {
  /** Checksum and id of the version that was last decoded in each place. */
  private readonly versions = new Uint32Array(PLACES * WORDS);
  private readonly values: Array<WeakRef<object> | undefined> = [];

  find({ bytes }: Frame): object | undefined {
    const place = placeOf(bytes);
    return this.isOf(place, bytes) ? this.values[place]?.deref() : undefined;
  }

  /** Kept from the second time on: what is read once is to die young. */
  note({ bytes }: Frame, value: unknown): void {
    const place = placeOf(bytes);
    if (!this.isOf(place, bytes)) {
      for (let word = 0; word < WORDS; word++) this.versions[place * WORDS + word] = bytes.readUInt32BE(4 + 4 * word);
      this.values[place] = undefined;
    } else if (typeof value === 'object' && value !== null) this.values[place] = new WeakRef(value);
  }

  private isOf(place: number, bytes: Buffer): boolean {
    for (let word = 0; word < WORDS; word++)
      if (this.versions[place * WORDS + word] !== bytes.readUInt32BE(4 + 4 * word)) return false;
    return true;
  }
}

function placeOf(bytes: Buffer): number {
  return bytes.readUInt32BE(8) & (PLACES - 1);
}
