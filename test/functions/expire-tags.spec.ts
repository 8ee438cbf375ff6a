import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { LoadOptions } from '../../src/core/cache.options.js';
import { until } from '../faults/subject.js';
import { FLEETS, Gate, stopFleets, type Member } from './fleet.js';

afterAll(stopFleets);

const never = (): never => {
  throw new Error('the loader must not run');
};
const BACKGROUND: LoadOptions = { tags: ['t'], ttl: '1h', softTimeout: 0 };

describe.each(FLEETS)('expireTags on $name', ({ open }) => {
  let here: Member;
  let there: Member;
  beforeEach(async () => {
    const fleet = await open();
    [here, there] = [await fleet.join(), await fleet.join()];
  });

  /** Both know it. */
  async function known(key: string, value: unknown): Promise<void> {
    await here.cache.set(key, value, BACKGROUND as object);
    for (const { cache } of [here, there]) await until(async () => (await cache.get(key)).tier === 'memory', 2000);
  }

  it('makes what carries the tag stale in every process, and nothing else', async () => {
    await known('k', 'old');
    await here.cache.set('other', 'value', { tags: ['u'] });
    await here.cache.expireTags(['t']);
    await until(() => there.cache.peek('k') === undefined, 1000);
    for (const { cache } of [here, there]) {
      await until(async () => (await cache.get('k')).isStale, 1000);
      expect(await cache.get('k')).toMatchObject({ isFound: true, isStale: true });
      expect((await cache.get('k')).value).toBe('old');
      expect(cache.peek('k')).toBeUndefined();
      expect(await cache.get('other')).toMatchObject({ isFound: true, isStale: false });
    }
  });

  it('has the old value served while one process refreshes it, and the new one fresh for all', async () => {
    await known('k', 'old');
    await here.cache.expireTags(['t']);
    await until(() => there.cache.peek('k') === undefined, 1000);
    const gate = new Gate<string>();
    expect(await there.cache.getOrSet('k', gate.load, BACKGROUND)).toBe('old');
    expect(await here.cache.getOrSet('k', gate.load, BACKGROUND)).toBe('old');
    gate.open('new');
    for (const { cache } of [here, there])
      await until(async () => (await cache.getOrSet('k', never, BACKGROUND)) === 'new', 2000);
    expect(gate.runs).toBe(1);
    expect(await here.cache.get('k')).toMatchObject({ isStale: false });
  });

  it('in any number keeps the entry, and invalidateTags before or after it does not', async () => {
    await known('k', 'old');
    await here.cache.expireTags(['t']);
    await there.cache.expireTags(['t']);
    await until(async () => (await here.cache.get('k')).isStale, 1000);
    await here.cache.invalidateTags(['t']);
    await there.cache.expireTags(['t']);
    for (const { cache } of [here, there]) await until(async () => !(await cache.get('k')).isFound, 1000);
  });

  it.each(['here', 'there'] as const)(
    'while a loader runs here, called %s: what it returns is stored stale',
    async (where) => {
      const gate = new Gate<string>();
      const loading = here.cache.getOrSet('k', gate.load, { tags: ['t'] });
      await gate.begun;
      await (where === 'here' ? here : there).cache.expireTags(['t']);
      gate.open('old');
      expect(await loading).toBe('old');
      for (const { cache } of [here, there]) {
        await until(async () => !(await cache.get('k')).isFound || (await cache.get('k')).isStale, 1000);
        expect(cache.peek('k')).toBeUndefined();
      }
      expect(await there.cache.getOrSet('k', () => 'new', { tags: ['t'] })).toBe('new');
    },
  );

  it('while a loader runs that names the tag afterwards: nothing of it is fresh', async () => {
    await known('other', 'carries the tag, too');
    const gate = new Gate<string>();
    const loading = here.cache.getOrSet('k', async (context) => {
      const value = await gate.load();
      context.setTags(['t']);
      return value;
    });
    await gate.begun;
    await there.cache.expireTags(['t']);
    gate.open('old');
    expect(await loading).toBe('old');
    expect(await there.cache.getOrSet('k', () => 'new')).toBe('new');
  });

  it('and a loader that fails then: the stale value, and nobody tries again before the back-off is over', async () => {
    await known('k', 'old');
    await here.cache.expireTags(['t']);
    await until(() => there.cache.peek('k') === undefined, 1000);
    let tries = 0;
    const failing = (): never => {
      tries++;
      throw new Error('down');
    };
    const options: LoadOptions<string> = { tags: ['t'], backOff: '1m' };
    for (const { cache } of [here, there, here, there])
      expect(await cache.getOrSet<string>('k', failing, options)).toBe('old');
    expect(tries).toBe(1);
    await here.cache.expireTags(['t']);
    expect(await here.cache.getOrSet<string>('k', () => 'new', options)).toBe('new');
  });

  it('is confirmed by a loader that finds nothing new: fresh again', async () => {
    await known('k', 'old');
    await here.cache.expireTags(['t']);
    expect(await here.cache.getOrSet<string>('k', (context) => context.notModified(), { tags: ['t'], ttl: '1h' })).toBe(
      'old',
    );
    await until(async () => !(await there.cache.get('k')).isStale, 1000);
    expect(await there.cache.getOrSet('k', never)).toBe('old');
  });
});
