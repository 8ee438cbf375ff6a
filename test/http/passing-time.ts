import { afterEach, vi } from 'vitest';
import { systemClock } from '../../src/core/clock/clock.js';

let ahead = 0;

/** Lets time pass on the clock by which entries age, at once; until the end of the test. */
export function pass(ms: number): void {
  ahead += ms;
  const now = (): number => performance.now() + ahead;
  vi.spyOn(systemClock, 'now').mockImplementation(now);
  vi.spyOn(systemClock, 'roughly').mockImplementation(now);
}

afterEach(() => {
  vi.restoreAllMocks();
  ahead = 0;
});
