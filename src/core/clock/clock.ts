/** The process's own time: monotonic, never the wall clock, so that steps of the host's clock change nothing. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  now(): number;
  /** As {@link now}, but cheap: up to one turn of the event loop behind, and never behind the last {@link now}. */
  roughly?(): number;
  /** Calls `run` once after `ms`; the returned function cancels it. Never keeps the process alive. */
  after(ms: number, run: () => void): () => void;
}

/** Reading the clock costs as much as a look-up in a Map, so a reading serves this many times, or a millisecond. */
const USES = 64;
let reading = 0;
let usesLeft = 0;
let renewal: NodeJS.Timeout | undefined;

/** `performance.now()` and unreferenced timers. */
export const systemClock: Clock = {
  // Also for who asks roughly: what was just judged stale must not be fresh to the next, in however long a turn.
  now: () => (reading = performance.now()),
  roughly() {
    if (usesLeft-- > 0) return reading;
    usesLeft = USES;
    reading = performance.now();
    if (renewal === undefined) renewal = setTimeout(dropReading, 1).unref();
    return reading;
  },
  after(ms, run) {
    const timer = setTimeout(run, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

function dropReading(): void {
  usesLeft = 0;
  renewal = undefined;
}
