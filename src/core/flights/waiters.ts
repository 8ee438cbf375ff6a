import type { Clock } from '../clock/clock.js';
import type { Found } from '../tiers/found.js';

/** What a report has brought, and when that was true, at the earliest. */
export interface Sent {
  readonly found: Found;
  readonly moment: number;
}

/** One caller that waits for news about a key. News that arrive before it starts to sleep are not missed. */
export class Waiter {
  private woken = false;
  /** What the last news came with. */
  sent: Sent | undefined;
  private wake: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    readonly leave: () => void,
  ) {}

  notify(sent?: Sent): void {
    this.sent = sent;
    this.woken = true;
    this.wake?.();
  }

  /** Until notified, at most `ms`. */
  async sleep(ms: number): Promise<void> {
    if (!this.woken) {
      await new Promise<void>((resolve) => {
        const cancel = this.clock.after(ms, resolve);
        this.wake = () => {
          cancel();
          resolve();
        };
      });
    }
    this.wake = undefined;
    this.woken = false;
  }
}

/** Who waits for which key. */
export class Waiters {
  private readonly waiting = new Map<string, Set<Waiter>>();

  constructor(private readonly clock: Clock) {}

  join(key: string): Waiter {
    let group = this.waiting.get(key);
    if (group === undefined) {
      group = new Set();
      this.waiting.set(key, group);
    }
    const joined = group;
    const waiter = new Waiter(this.clock, () => {
      joined.delete(waiter);
      if (joined.size === 0 && this.waiting.get(key) === joined) this.waiting.delete(key);
    });
    joined.add(waiter);
    return waiter;
  }

  has(key: string): boolean {
    return this.waiting.has(key);
  }

  /** @param sent what there is now, if the news came with it */
  notify(key: string, sent?: Sent): void {
    const group = this.waiting.get(key);
    if (group) for (const waiter of group) waiter.notify(sent);
  }

  notifyAll(): void {
    for (const group of this.waiting.values()) for (const waiter of group) waiter.notify();
  }

  get size(): number {
    return this.waiting.size;
  }
}
