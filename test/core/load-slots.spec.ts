import { expect, it } from 'vitest';
import type { Clock } from '../../src/core/clock/clock.js';
import { LoadSlots } from '../../src/core/flights/load-slots.js';
import { gate } from './gate.js';

/** Its time is over when a test says so. */
class PatienceClock implements Clock {
  readonly ends = new Set<() => void>();
  now = (): number => 0;
  after(_ms: number, run: () => void): () => void {
    this.ends.add(run);
    return () => this.ends.delete(run);
  }
}

const refuse = (): Error => new Error('refused');

it('who waits for a slot is let in as they came, but for those who have lost patience', async () => {
  const clock = new PatienceClock();
  const slots = new LoadSlots(clock, 1);
  const done: string[] = [];
  const first = gate();
  const all = [slots.run(1, refuse, () => first.passed())];
  const enter = (name: string): void => {
    all.push(slots.run(1, refuse, async () => void done.push(name)).catch(() => void done.push(`not ${name}`)));
  };
  enter('a');
  enter('b');
  [...clock.ends][0]?.();
  enter('c');
  first.open();
  await Promise.all(all);
  expect(done).toEqual(['not a', 'b', 'c']);
  await slots.run(0, refuse, async () => void done.push('d'));
  expect(done.at(-1)).toBe('d');
});

it('a hundred thousand who lose patience at one moment block nobody for seconds', async () => {
  const clock = new PatienceClock();
  const slots = new LoadSlots(clock, 1);
  const first = gate();
  const running = slots.run(1, refuse, () => first.passed());
  const waiting = Array.from({ length: 100_000 }, () => slots.run(1, refuse, async () => 'in').catch(() => 'refused'));
  const began = performance.now();
  for (const end of clock.ends) end();
  expect(performance.now() - began).toBeLessThan(1000);
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(['refused']));
  first.open();
  await running;
});
