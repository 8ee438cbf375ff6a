import type { Clock } from '../core/clock/clock.js';

/** Acquisitions of this process that are in a queue. */
export class LockWaiters {
  private readonly waiting = new Map<string, LockWaiter>();

  constructor(private readonly clock: Clock) {}

  get size(): number {
    return this.waiting.size;
  }

  /** To be called before the store is asked, so that a hand-over between its answer and {@link LockWaiter.sleep} is not missed. */
  join(owner: string): LockWaiter {
    const waiter = new LockWaiter(this.clock, () => this.waiting.delete(owner));
    this.waiting.set(owner, waiter);
    return waiter;
  }

  wake(owner: string): void {
    this.waiting.get(owner)?.notify();
  }

  wakeAll(): void {
    for (const waiter of this.waiting.values()) waiter.notify();
  }
}

export class LockWaiter {
  private notified = false;
  private awake: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    readonly leave: () => void,
  ) {}

  readonly notify = (): void => {
    this.notified = true;
    this.awake?.();
  };

  /** Until it is notified (or was since the last sleep), at most `ms`. */
  async sleep(ms: number): Promise<void> {
    if (!this.notified) {
      await new Promise<void>((resolve) => {
        const cancel = this.clock.after(ms, resolve);
        this.awake = () => {
          cancel();
          resolve();
        };
      });
      this.awake = undefined;
    }
    this.notified = false;
  }
}
