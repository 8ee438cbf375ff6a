/** A power of two; few enough to cost nothing, so many that entries of one second seldom share a place. */
const PLACES = 4096;

/**
 * When the memory tier was last given something by a reply of the store, or by this process itself, by slot. Reports travel on a connection
 * of their own, so that a reply may know more than the reports that are still on their way. Slots share places: the answer may
 * be later than the truth, never earlier.
 */
export class RecentReplies {
  private readonly times = new Float64Array(PLACES).fill(-Infinity);

  note(slot: number, now: number): void {
    this.times[slot & (PLACES - 1)] = now;
  }

  last(slot: number): number {
    return this.times[slot & (PLACES - 1)] as number;
  }
}
