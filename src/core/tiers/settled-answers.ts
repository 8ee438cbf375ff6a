/** A power of two. Fewer than entries, for a promise takes more than half of what an entry does beside its value. */
const PLACES = 1024;
/** To be copied, in 2 us: to make them one by one takes a hundred times as long. */
const NONE: readonly undefined[] = Array.from({ length: PLACES }, () => undefined);

/**
 * The payloads of the slots that were asked for of late, as settled promises: to make one costs as much as to find the payload. Slots that
 * differ by a multiple of the places share one, and the last has it. Who changes a slot's payload lets go of its answer.
 */
export class SettledAnswers<P> {
  private readonly slots = new Int32Array(PLACES).fill(-1);
  private readonly answers: Array<Promise<P> | undefined> = NONE.slice();

  of(slot: number, payload: P): Promise<P> {
    const at = slot & (PLACES - 1);
    if (this.slots[at] === slot) return this.answers[at] as Promise<P>;
    this.slots[at] = slot;
    return (this.answers[at] = Promise.resolve(payload));
  }

  forget(slot: number): void {
    const at = slot & (PLACES - 1);
    if (this.slots[at] !== slot) return;
    this.slots[at] = -1;
    this.answers[at] = undefined;
  }

  clear(): void {
    this.slots.fill(-1);
    this.answers.fill(undefined);
  }
}
