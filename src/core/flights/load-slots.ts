import type { Clock } from '../clock/clock.js';
import { OldestKeys } from '../oldest-keys.js';

/** Lets at most so many loaders of a namespace run at a time; the others take their turn, first come, first served. */
export class LoadSlots {
  private free: number;
  /** Not a list: thousands may lose patience at one moment. */
  private readonly queue = new Map<(isFree: boolean) => void, true>();
  private readonly oldest = new OldestKeys(this.queue);

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
        this.queue.delete(next);
        if (this.queue.size === 0) this.oldest.rest();
        resolve(false);
      });
      const next = (isFree: boolean): void => {
        cancel();
        resolve(isFree);
      };
      this.queue.set(next, true);
    });
  }

  private leave(): void {
    const next = this.oldest.take();
    if (!next) {
      this.free++;
      return;
    }
    this.queue.delete(next);
    next(true);
  }
}
