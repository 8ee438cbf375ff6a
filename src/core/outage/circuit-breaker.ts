import type { Clock } from '../clock/clock.js';

/** Failures in a row that open it. */
const FAILURES_TO_OPEN = 5;
/** Pause between two probes while open: with the client's reconnect pause (at most 250 ms) recovery is seen in less than 500 ms. */
const PROBE_PAUSE_MS = 100;

/**
 * Keeps callers away from a store that does not answer. While open, nobody waits: one probe at a time runs in the background, never at
 * a caller's expense, and its first success closes the breaker.
 */
export class CircuitBreaker {
  private failures = 0;
  private cancelProbe: (() => void) | undefined;
  private opened = false;

  constructor(
    private readonly clock: Clock,
    private readonly probe: () => Promise<unknown>,
    private readonly recovered: () => void,
    private readonly isNowOpen: () => void,
  ) {}

  get isOpen(): boolean {
    return this.opened;
  }

  succeeded(): void {
    this.failures = 0;
  }

  failed(): void {
    if (++this.failures < FAILURES_TO_OPEN || this.opened) return;
    this.opened = true;
    this.scheduleProbe();
    this.isNowOpen();
  }

  /** Stops probing; the breaker stays as it is. */
  stop(): void {
    this.cancelProbe?.();
    this.cancelProbe = undefined;
  }

  private scheduleProbe(): void {
    this.cancelProbe = this.clock.after(PROBE_PAUSE_MS, () => {
      this.probe().then(
        () => {
          this.opened = false;
          this.failures = 0;
          this.recovered();
        },
        () => {
          if (this.cancelProbe) this.scheduleProbe();
        },
      );
    });
  }
}
