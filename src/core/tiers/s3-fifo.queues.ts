import { FREE, MAIN, SMALL, SlotLists } from './slot.lists.js';

/** The small queue's share of each limit. */
export const SMALL_SHARE = 0.25;
// The bits of a mark: reads since the entry was queued (0 to 3), and the queue it is in.
const READS = 3;
const IN_MAIN = 4;

/**
 * Who has to go: the order, the reads and the sizes of a slab's slots. New entries wait in the small queue; those read
 * meanwhile move on to the main queue, where each read (up to 3) buys another round. A read moves nothing.
 */
export class S3FifoQueues {
  entries = 0;
  bytes = 0;
  sizes = new Uint32Array(0);
  private marks = new Uint8Array(0);
  private readonly lists = new SlotLists();
  private smallEntries = 0;
  private smallBytes = 0;

  constructor(
    private readonly maxEntries: number,
    private readonly maxBytes: number,
  ) {}

  touch(slot: number): void {
    const mark = this.marks[slot] as number;
    if ((mark & READS) !== READS) this.marks[slot] = mark + 1;
  }

  /** A free slot, which is taken by `enter`; negative when there is none. */
  free(): number {
    return this.lists.oldest(FREE);
  }

  enter(slot: number, size: number, toMain: boolean): void {
    this.lists.unlink(slot);
    this.lists.push(toMain ? MAIN : SMALL, slot);
    this.marks[slot] = toMain ? IN_MAIN : 0;
    this.sizes[slot] = size;
    this.account(slot, 1, size);
  }

  leave(slot: number): void {
    this.account(slot, -1, -(this.sizes[slot] as number));
    this.lists.unlink(slot);
    this.lists.push(FREE, slot);
  }

  /** Gives an entry another size; its place and its reads stay. */
  resize(slot: number, size: number): void {
    this.account(slot, 0, size - (this.sizes[slot] as number));
    this.sizes[slot] = size;
  }

  isInMain(slot: number): boolean {
    return ((this.marks[slot] as number) & IN_MAIN) !== 0;
  }

  /**
   * The slot to give up so that `entries` and `bytes` more fit in, never `keep`; negative when they fit. On the way,
   * entries that were read get their next round: a read pays for one such step.
   */
  victim(entries: number, bytes: number, keep: number): number {
    const forEntries = this.entries + entries > this.maxEntries;
    if (!forEntries && this.bytes + bytes <= this.maxBytes) return -1;
    for (;;) {
      const slot = this.lists.oldest(this.smallGives(forEntries) ? SMALL : MAIN);
      const mark = this.marks[slot] as number;
      if ((mark & READS) === 0 && slot !== keep) return slot;
      this.lists.unlink(slot);
      this.lists.push(MAIN, slot);
      if (mark & IN_MAIN) {
        this.marks[slot] = Math.max(mark - 1, IN_MAIN);
      } else {
        this.marks[slot] = IN_MAIN;
        this.smallEntries--;
        this.smallBytes -= this.sizes[slot] as number;
      }
    }
  }

  grow(capacity: number): void {
    const { sizes, marks } = this;
    this.sizes = new Uint32Array(capacity);
    this.sizes.set(sizes);
    this.marks = new Uint8Array(capacity);
    this.marks.set(marks);
    this.lists.grow(sizes.length, capacity);
  }

  /** Whether the small queue is at its share of the limit that was hit. */
  private smallGives(forEntries: boolean): boolean {
    const { smallEntries } = this;
    if (smallEntries === 0 || smallEntries === this.entries) return smallEntries > 0;
    return forEntries ? smallEntries >= this.maxEntries * SMALL_SHARE : this.smallBytes >= this.maxBytes * SMALL_SHARE;
  }

  private account(slot: number, entries: number, bytes: number): void {
    this.entries += entries;
    this.bytes += bytes;
    if (this.isInMain(slot)) return;
    this.smallEntries += entries;
    this.smallBytes += bytes;
  }
}
