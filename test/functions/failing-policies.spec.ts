import { describe, expect, it } from 'vitest';
import type { CallOptions } from '../../src/core/cache.options.js';
import { unhandledRejections, until } from '../faults/subject.js';
import { memoryFleet } from './fleet.js';

const upstreamDown = (): never => {
  throw new Error('upstream');
};

/** Functions of the options that are asked about a failed load, and fail themselves. */
describe('a policy that fails', () => {
  it.each([
    ['staleIfError', { staleIfError: (error) => (error as { status: { code: number } }).status.code >= 500 }, true],
    ['errorTtl', { errorTtl: () => 'soon' as never }, false],
  ] satisfies Array<[string, CallOptions<string>, boolean]>)(
    '%s: the key is free for others at once',
    async (_, options, isStale) => {
      const fleet = memoryFleet();
      const [a, b] = [await fleet.join(), await fleet.join()];
      if (isStale) {
        await a.cache.set('k', 'stale');
        await a.cache.expire('k');
      }
      const call = a.cache.getOrSet<string>('k', upstreamDown, { lease: '1m', ...options });
      await expect(call).rejects.toThrow();
      await until(async () => !(await fleet.isLeased('k')), 2000);
      expect(await b.cache.getOrSet('k', () => 'theirs', { onCold: 'throw', staleWhileLoading: false })).toBe('theirs');
    },
  );

  it('onLoadError, later: changes nothing for the callers, and is no unhandled rejection', async () => {
    const unhandled = unhandledRejections();
    const { cache } = await memoryFleet().join();
    const onLoadError = (async () => upstreamDown()) as () => void;
    await expect(cache.getOrSet('k', upstreamDown, { onLoadError })).rejects.toThrow('upstream');
    // Rejections are reported when the turn they came in is over.
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).toEqual([]);
  });
});
