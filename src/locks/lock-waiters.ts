import type { Clock } from '../core/clock/clock.js';
import type { HandOver } from './contract/lock-store.js';

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

  wake(owner: string, grant?: HandOver): void {
    this.waiting.get(owner)?.notify(grant);
  }

  wakeAll(): void {
    for (const waiter of this.waiting.values()) waiter.notify();
  }
}

export class LockWaiter {
  private notified = false;
  private grant: HandOver | undefined;
  private awake: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    readonly leave: () => void,
  ) {}

  readonly notify = (grant?: HandOver): void => {
    this.notified = true;
    this.grant = grant ?? this.grant;
    this.awake?.();
  };

  /** The fence of the last hand-over, if it is of this lock and was made after the one that had `fence`. */
  handed(key: string, fence: bigint): bigint | undefined {
    return this.grant?.key === key && this.grant.fence > fence ? this.grant.fence : undefined;
  }

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
