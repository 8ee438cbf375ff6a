import type { Clock } from '../../src/core/clock/clock.js';

/** Time that stands still until the test moves it. */
export class SteppedClock implements Clock {
  private time = 1_000_000;
  /** @param tick how much passes whenever the time is told */
  constructor(private readonly tick = 0) {}

  private timers: Array<{ at: number; run: () => void }> = [];

  now(): number {
    return (this.time += this.tick);
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.time + ms, run };
    this.timers.push(timer);
    return () => {
      const at = this.timers.indexOf(timer);
      if (at >= 0) this.timers.splice(at, 1);
    };
  }

  advance(ms: number): void {
    this.time += ms;
    const due = this.timers.filter((timer) => timer.at <= this.time);
    this.timers = this.timers.filter((timer) => timer.at > this.time);
    for (const timer of due) timer.run();
  }
}
