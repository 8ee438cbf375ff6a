import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { CacheKey, ScanProgress } from '../../src/core/cache.options.js';
import { CacheEngine } from '../../src/core/cache-engine.js';
import { MemoryStore } from '../../src/stores/memory/memory.store.js';
import { until } from '../faults/subject.js';
import { FLEETS, stopFleets, type Member } from './fleet.js';

afterAll(stopFleets);

describe.each(FLEETS)('scanAndDelete on $name', ({ open }) => {
  let here: Member;
  let there: Member;
  beforeEach(async () => {
    const fleet = await open();
    const namespaces = [{ name: 'default' }, { name: 'other' }];
    [here, there] = [await fleet.join({ namespaces }), await fleet.join({ namespaces })];
  });

  async function has(keys: readonly CacheKey[]): Promise<boolean[]> {
    return (await there.cache.getManyShared(keys)).map(({ isFound }) => isFound);
  }

  it('deletes what begins so, in this namespace, in every process', async () => {
    const kept: CacheKey[] = ['courses', 'cours', ['courses', 1], ['cours', '*'], ['x', 'course']];
    const gone: CacheKey[] = [['course', 1], ['course', 'a*?[b]'], ['course', { page: [1, 2] }], ['course']];
    await here.cache.setMany([...kept, ...gone].map((key) => [key, 1]));
    await here.cache.namespace('other').set(['course', 1], 1);
    await until(async () => (await there.cache.get(['course', 1])).tier === 'memory', 1000);
    const progress = await here.cache.scanAndDelete(['course']);
    expect(progress).toMatchObject({ deleted: gone.length, undecided: 0, cursor: undefined });
    expect(await has(gone)).toEqual(gone.map(() => false));
    expect(await has(kept)).toEqual(kept.map(() => true));
    expect((await there.cache.namespace('other').get(['course', 1])).isFound).toBe(true);
    await until(() => there.cache.peek(['course', 1]) === undefined, 1000);
  });

  it('takes what a pattern would mean for itself', async () => {
    await here.cache.setMany(['a*b', 'axb', 'a[x]b', 'a?b'].map((key) => [key, 1]));
    expect((await here.cache.scanAndDelete('a*')).deleted).toBe(1);
    expect((await here.cache.scanAndDelete('a[x')).deleted).toBe(1);
    expect(await has(['axb', 'a?b'])).toEqual([true, true]);
  });

  it('finds long keys by what can be read of them, and tells how many it could not judge', async () => {
    const long = (start: string): string => start.padEnd(150, 'x');
    await here.cache.setMany(
      [long('short:'), long('a-prefix-of-more-than-forty-characters-in-all:')].map((key) => [key, 1]),
    );
    expect(await here.cache.scanAndDelete('short:')).toMatchObject({ deleted: 1, undecided: 0 });
    const progress = await here.cache.scanAndDelete('a-prefix-of-more-than-forty-characters-in-all:');
    expect(progress).toMatchObject({ deleted: 0, undecided: 1 });
  });

  it('goes step by step: tells how far it is, stops when told to, and goes on from there', async () => {
    const keys = Array.from({ length: 5000 }, (_, i) => `page:${i}`);
    await here.cache.setMany(keys.map((key) => [key, 1]));
    const told: ScanProgress[] = [];
    const first = await here.cache.scanAndDelete('page:', {
      maxSteps: 2,
      onProgress: (progress) => told.push(progress),
    });
    expect(told).toHaveLength(2);
    expect(told[1]).toEqual(first);
    expect(first.deleted).toBeGreaterThan(0);
    expect(first.deleted).toBeLessThan(keys.length);
    expect(first.cursor).toBeDefined();

    const stop = new AbortController();
    const stopping = here.cache.scanAndDelete('page:', {
      cursor: first.cursor,
      signal: stop.signal,
      // Not to be waited for by who has had enough.
      pause: '1h',
      onProgress: () => setImmediate(() => stop.abort(new Error('enough'))),
    });
    await expect(stopping).rejects.toThrow('enough');
    await here.cache.scanAndDelete('page:', { cursor: first.cursor });
    expect((await has(keys)).filter(Boolean)).toEqual([]);
  });
});

it('scanAndDelete is refused where the store cannot do it', async () => {
  const store = new MemoryStore();
  Object.assign(store, { capabilities: { ...store.capabilities, scan: false } });
  const cache = new CacheEngine({ store }).namespace('default');
  await expect(cache.scanAndDelete('page:')).rejects.toMatchObject({ code: 'scan_unsupported' });
});
