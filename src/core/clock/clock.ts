/** The process's own time: monotonic, never the wall clock, so that steps of the host's clock change nothing. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  now(): number;
  /** As {@link now}, but cheap: up to one turn of the event loop behind, and never behind the last {@link now}. */
  roughly?(): number;
  /** Calls `run` once after `ms`; the returned function cancels it. Never keeps the process alive. */
  after(ms: number, run: () => void): () => void;
  /** Calls `run` once what has arrived by now has been read. Default: at once. */
  afterArrivals?(run: () => void): void;
}

/**
 * As {@link Clock.after}, for who has waited in vain: when the event loop was blocked, timers come before the answers that have arrived
 * meanwhile. Once the time is over it is not to be cancelled any more.
 */
export function afterDeadline(clock: Clock, ms: number, run: () => void): () => void {
  return clock.after(ms, () => (clock.afterArrivals ? clock.afterArrivals(run) : run()));
}

/** Node fires timers of more than this (24.8 days) at once. */
const MOST_TIMER_MS = 2 ** 31 - 1;

/** Whether one of Node's timers can be told to wait for so many milliseconds. */
export function fitsTimer(ms: number): boolean {
  return Number.isSafeInteger(ms) && ms >= 1 && ms <= MOST_TIMER_MS;
}

/** What {@link fitsTimer} takes, for messages. */
export const TIMER_RANGE = `a whole number of milliseconds from 1 to ${MOST_TIMER_MS}`;

/** Reading the clock costs as much as a look-up in a Map, so in a run of uses a reading serves this many of them, or a millisecond. */
const USES = 64;
/**
 * A run begins with so many uses that are no more than this apart. Before that there is no timer: by a process with nothing else to do it would
 * have to be woken up once more for every single use.
 */
const RUN_USES = 16;
const RUN_APART_MS = 0.01;
let reading = 0;
let usesLeft = 0;
let usesInARow = 0;
let lastUse = -Infinity;
let renewal: NodeJS.Timeout | undefined;

/** `performance.now()` and unreferenced timers. */
export const systemClock: Clock = {
  // Also for who asks roughly: what was just judged stale must not be fresh to the next, in however long a turn.
  now: () => (reading = performance.now()),
  roughly() {
    if (usesLeft-- > 0) return reading;
    reading = performance.now();
    usesInARow = renewal || reading - lastUse < RUN_APART_MS ? usesInARow + 1 : 0;
    lastUse = reading;
    if (usesInARow < RUN_USES) usesLeft = 0;
    else {
      usesLeft = USES;
      renewal ??= setTimeout(dropReading, 1).unref();
    }
    return reading;
  },
  after(ms, run) {
    if (ms > MOST_TIMER_MS) return afterLong(ms, run);
    const timer = setTimeout(run, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
  afterArrivals: (run) => void setImmediate(run),
};

function afterLong(ms: number, run: () => void): () => void {
  let cancel = (): void => undefined;
  const wait = (leftMs: number): void => {
    const stepMs = Math.min(leftMs, MOST_TIMER_MS);
    cancel = systemClock.after(stepMs, () => (leftMs > stepMs ? wait(leftMs - stepMs) : run()));
  };
  wait(ms);
  return () => cancel();
}

function dropReading(): void {
  usesLeft = 0;
  renewal = undefined;
}
