import type { Clock } from './clock.js';

/** After this long a measurement is repeated: two clocks drift apart by some 100 microseconds in 30 s at worst. */
const REMEASURE_MS = 30_000;
const DRIFT = 1e-5;
const GOOD_ROUND_TRIP_MS = 100;
const MAX_ATTEMPTS = 3;

/**
 * The store's time, told from this process's monotonic clock and a measured offset. Freshness is judged in it, so that steps or skew of
 * this host's wall clock never make an entry older or younger.
 */
export class StoreClock {
  private offset: number | undefined;
  /** By how much the offset may have been wrong when it was measured. */
  private error = 0;
  private measuredAt = -Infinity;
  private measuring: Promise<void> | undefined;
  private doubts = 0;
  private settledDoubts = 0;
  /** The doubts at the beginning of the measurement that is believed. */
  private believedDoubts = -1;

  constructor(
    private readonly clock: Clock,
    private readonly readStore: () => Promise<number>,
    /** So long an answer is waited for before the store is asked once more. */
    private readonly patienceMs: number,
  ) {}

  /** Resolves once the offset is known; rejects when the store does not tell the time. Usually `undefined`: nothing to wait for. */
  ready(): Promise<void> | undefined {
    if (this.offset === undefined || this.settledDoubts !== this.doubts) return this.measure();
    if (this.clock.now() - this.measuredAt > REMEASURE_MS) this.measure().catch(() => undefined);
    return undefined;
  }

  /** The server may be another one now: to be measured again. What is under way goes on with the old offset. */
  reset(): void {
    this.doubts++;
    this.measuring = undefined;
  }

  now(): number {
    return this.clock.now() + this.known();
  }

  /** A moment of the store's time on this process's clock. */
  toLocal(storeTime: number): number {
    return storeTime - this.known();
  }

  /** As {@link toLocal}, no later than it can have been. */
  earliest(storeTime: number): number {
    return this.toLocal(storeTime) - this.error - DRIFT * (this.clock.now() - this.measuredAt);
  }

  /** By how much the store's time is ahead of this process's clock, as far as is known now. */
  get offsetNow(): number {
    return this.known();
  }

  private known(): number {
    if (this.offset === undefined) throw new Error('the store clock was read before it was measured');
    return this.offset;
  }

  private measure(): Promise<void> {
    if (this.measuring) return this.measuring;
    const drop = (): void => {
      if (this.measuring === measuring) this.measuring = undefined;
    };
    // An answer that never comes is not to be waited for by everybody from now on.
    const cancel = this.clock.after(this.patienceMs, drop);
    const measuring = this.observe().finally(() => {
      cancel();
      drop();
    });
    // Callers await it; while the breaker is open nobody does.
    measuring.catch(() => undefined);
    return (this.measuring = measuring);
  }

  /** The offset is known to half a round trip; a reply that was held up is not believed while a better one may be had. */
  private async observe(): Promise<void> {
    const { doubts } = this;
    let best = Infinity;
    for (let attempt = 1; attempt <= MAX_ATTEMPTS && best > GOOD_ROUND_TRIP_MS; attempt++) {
      const sent = this.clock.now();
      const storeNow = await this.readStore();
      const received = this.clock.now();
      if (received - sent >= best || this.isOutdone(doubts, sent)) continue;
      best = received - sent;
      this.believedDoubts = doubts;
      this.offset = storeNow - (sent + received) / 2;
      this.error = best / 2;
      this.measuredAt = received;
    }
    this.settledDoubts = Math.max(this.settledDoubts, doubts);
  }

  /** Whether the answer to a later question has come before. */
  private isOutdone(doubts: number, sent: number): boolean {
    return doubts < this.believedDoubts || (doubts === this.believedDoubts && sent < this.measuredAt);
  }
}
