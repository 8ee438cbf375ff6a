/** The list of slots that hold nothing. */
export const FREE = 0;
/** The queue of new entries. */
export const SMALL = 1;
/** The queue of entries that were read again, or came back soon after they were evicted. */
export const MAIN = 2;
const LISTS = 3;

/** First-in-first-out lists of slot numbers, linked through two typed arrays: every operation is O(1) and allocates nothing. */
export class SlotLists {
  // A slot's links sit at slot + LISTS. The first three links are the lists' own ends, so that no operation has a special case.
  private next = Uint32Array.of(FREE, SMALL, MAIN);
  private previous = Uint32Array.of(FREE, SMALL, MAIN);

  /** The slot that is in `list` for longest; negative when the list is empty. */
  oldest(list: number): number {
    return (this.next[list] as number) - LISTS;
  }

  /** Appends a slot that is in no list. */
  push(list: number, slot: number): void {
    const link = slot + LISTS;
    const last = this.previous[list] as number;
    this.next[link] = list;
    this.previous[link] = last;
    this.next[last] = link;
    this.previous[list] = link;
  }

  /** Takes a slot out of the list it is in. */
  unlink(slot: number): void {
    const before = this.previous[slot + LISTS] as number;
    const after = this.next[slot + LISTS] as number;
    this.next[before] = after;
    this.previous[after] = before;
  }

  /** Makes room for slots up to `capacity`; the new ones, from `from` on, are free. */
  grow(from: number, capacity: number): void {
    this.next = copyInto(new Uint32Array(capacity + LISTS), this.next);
    this.previous = copyInto(new Uint32Array(capacity + LISTS), this.previous);
    for (let slot = from; slot < capacity; slot++) this.push(FREE, slot);
  }
}

function copyInto(target: Uint32Array<ArrayBuffer>, source: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  target.set(source);
  return target;
}
