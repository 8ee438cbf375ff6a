import { expect, it, vi } from 'vitest';
import { MemoryStore } from '../../src/stores/memory/memory.store.js';
import { until } from '../faults/subject.js';
import { engineOn } from './broken.store.js';
import { gate } from './gate.js';

it('a store that once does not tell the time is asked again', async () => {
  const store = new MemoryStore();
  vi.spyOn(store, 'now').mockImplementationOnce(() => new Promise(() => undefined));
  const cache = engineOn(store, { deadlineMs: 20 }).namespace('default');
  expect(await cache.set('k', 1)).toBe(false);
  await until(() => cache.set('k', 1), 1000);
});

it('a time that is told after a later question was answered is not believed', async () => {
  const store = new MemoryStore();
  const late = gate();
  vi.spyOn(store, 'now').mockImplementationOnce(async () => {
    await late.passed();
    return 0;
  });
  const engine = engineOn(store, { deadlineMs: 20 });
  const cache = engine.namespace('default');
  expect(await cache.set('k', 1)).toBe(false);
  await until(() => cache.set('k', 1), 1000);
  const before = engine.storeClock.now();
  late.open();
  await engine.guard.run('now', engine.guard.budget(), (asked) => asked.now());
  expect(engine.storeClock.now()).toBeGreaterThanOrEqual(before);
});
