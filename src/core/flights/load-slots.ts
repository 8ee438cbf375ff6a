import type { Clock } from '../clock/clock.js';

/** Lets at most so many loaders of a namespace run at a time; the others take their turn, first come, first served. */
export class LoadSlots {
  private free: number;
  private readonly queue: Array<(isFree: boolean) => void> = [];

  constructor(
    private readonly clock: Clock,
    slots: number,
  ) {
    this.free = slots;
  }

  /** Runs `work` when there is a slot; throws what `refuse` makes if there is none within `patienceMs`. */
  async run<T>(patienceMs: number, refuse: () => Error, work: () => Promise<T>): Promise<T> {
    if (!(await this.enter(patienceMs))) throw refuse();
    try {
      return await work();
    } finally {
      this.leave();
    }
  }

  private enter(patienceMs: number): Promise<boolean> {
    if (this.free > 0) {
      this.free--;
      return Promise.resolve(true);
    }
    if (patienceMs <= 0) return Promise.resolve(false);
    return new Promise((resolve) => {
      const cancel = this.clock.after(patienceMs, () => {
        this.queue.splice(this.queue.indexOf(next), 1);
        resolve(false);
      });
      const next = (isFree: boolean): void => {
        cancel();
        resolve(isFree);
      };
      this.queue.push(next);
    });
  }

  private leave(): void {
    const next = this.queue.shift();
    if (next) next(true);
    else this.free++;
  }
}
