import { afterEach, vi } from 'vitest';
import { systemClock } from '../../src/core/clock/clock.js';

let ahead = 0;

// From the beginning: who is made before a test lets time pass may keep these functions.
systemClock.now = systemClock.roughly = () => performance.now() + ahead;

/** Lets time pass on the clock by which entries age, at once; until the end of the test. */
export function pass(ms: number): void {
  ahead += ms;
}

afterEach(() => {
  vi.restoreAllMocks();
  ahead = 0;
});
