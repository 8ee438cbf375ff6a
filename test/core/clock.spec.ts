import { expect, it, onTestFinished, vi } from 'vitest';
import { systemClock } from '../../src/core/clock/clock.js';

const DAY_MS = 86_400_000;

it.each([1, 24, 25, 90])(
  'a timer of %i days fires after so many days, and not if it is cancelled on its way',
  (days) => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const [run, cancelled] = [vi.fn(), vi.fn()];
    systemClock.after(days * DAY_MS, run);
    const cancel = systemClock.after(days * DAY_MS, cancelled);
    vi.advanceTimersByTime(days * DAY_MS - 1);
    expect(run).not.toHaveBeenCalled();
    cancel();
    vi.advanceTimersByTime(1);
    expect(run).toHaveBeenCalledTimes(1);
    expect(cancelled).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  },
);

it('a use of the rough time by itself leaves no timer behind; in a run of them one reading serves a while, and is renewed within a millisecond', () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const roughly = systemClock.roughly as () => number;
  for (let use = 0; use < 100; use++) {
    vi.advanceTimersByTime(1);
    expect(roughly()).toBe(performance.now());
    expect(vi.getTimerCount()).toBe(0);
  }
  const readings = vi.spyOn(performance, 'now');
  for (let use = 0; use < 100; use++) roughly();
  expect(readings.mock.calls.length).toBeLessThan(25);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(1);
  expect(roughly()).toBe(performance.now());
  expect(vi.getTimerCount()).toBe(0);
});
