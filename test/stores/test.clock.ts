import type { Clock } from '../../src/core/clock/clock.js';

/** Stands still until told to advance. */
export class TestClock implements Clock {
  #now = 1000;

  now(): number {
    return this.#now;
  }

  after(): () => void {
    throw new Error('the memory store needs no timers');
  }

  advance(ms: number): void {
    this.#now += ms;
  }
}
