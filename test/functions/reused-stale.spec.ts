import { afterAll, describe, expect, it } from 'vitest';
import type { LoadContext } from '../../src/core/cache.options.js';
import { until } from '../faults/subject.js';
import { FLEETS, Gate, stopFleets } from './fleet.js';
import type { Member } from './fleet.js';

afterAll(stopFleets);

/** Holds up one operation of a member until the gate opens. */
function holdUp(member: Member, held: string): Gate<void> {
  const gate = new Gate<void>();
  const { guard } = member.engine;
  const run = guard.run.bind(guard);
  guard.run = (async (operation: string, ...rest: [never, never]) => {
    if (operation === held) await gate.load();
    return run(operation, ...rest);
  }) as never;
  return gate;
}

const uses = {
  'for the time of a back-off': () => {
    throw new Error('upstream');
  },
  'as not modified': (context: LoadContext<string>) => context.notModified(),
};

/** A stale value is read before the lease is granted. What happens to the key in between must not be undone by using it again. */
describe.each(FLEETS)('a stale value that is used again, on $name', ({ open }) => {
  describe.each(Object.entries(uses))('%s', (_, load) => {
    it.each(['delete', 'clear', 'invalidateTags'] as const)('is not put back after %s', async (how) => {
      const fleet = await open();
      const [a, b] = [await fleet.join(), await fleet.join()];
      await a.cache.set('k', 'old', { tags: ['t'] });
      await a.cache.expire('k');
      const gate = holdUp(b, 'acquire');
      const call = b.cache.getOrSet('k', load);
      // A call that ends without a lease would wait for ever otherwise.
      await Promise.race([gate.begun, call]);
      expect(gate.runs).toBe(1);
      if (how === 'delete') await a.cache.delete('k');
      else if (how === 'clear') await a.cache.clear();
      else await a.cache.invalidateTags(['t']);
      gate.open();
      await call.catch(() => undefined);
      expect([(await a.cache.get('k')).isFound, (await b.cache.get('k')).isFound]).toEqual([false, false]);
      // A lease is given up behind the caller's back.
      await until(async () => !(await fleet.isLeased('k')), 2000);
      expect(await a.cache.getOrSet('k', () => 'new', { onCold: 'throw' })).toBe('new');
    });
  });
});
