import { describe, expect, it } from 'vitest';
import { RequestScope } from '../../src/core/tiers/request.scope.js';
import { MemoryStore } from '../../src/stores/memory/memory.store.js';
import { until } from '../faults/subject.js';
import { engineOn } from './broken.store.js';
import { gate, type Gate } from './gate.js';

/** Its writes may be held up. */
class SlowlyWritingStore extends MemoryStore {
  before: Gate | undefined;

  override async write(...asked: Parameters<MemoryStore['write']>): ReturnType<MemoryStore['write']> {
    await this.before?.passed();
    return super.write(...asked);
  }
}

describe('increment', () => {
  it('is seen by the request that did it, also if that has read meanwhile', async () => {
    const scope = new RequestScope();
    const store = new SlowlyWritingStore();
    const cache = engineOn(store, { requestScope: () => scope }).namespace('default');
    await cache.increment('n');
    const before = (store.before = gate());
    const incrementing = cache.increment('n');
    await before.reached;
    expect((await cache.get('n')).value).toBe(1);
    before.open();
    expect(await incrementing).toBe(2);
    expect((await cache.get('n')).value).toBe(2);
  });

  it('is seen by the process that did it, also if that hears of no changes', async () => {
    const store = new SlowlyWritingStore();
    const open = store.open.bind(store);
    store.open = (listener) => open({ ...unheard, flushed: () => listener.flushed() });
    const cache = engineOn(store).namespace('default');
    await cache.increment('n');
    const before = (store.before = gate());
    const incrementing = cache.increment('n');
    await before.reached;
    expect((await cache.get('n')).value).toBe(1);
    before.open();
    expect(await incrementing).toBe(2);
    expect((await cache.get('n')).value).toBe(2);
  });
});

const ignore = (): void => undefined;
const unheard = { changed: ignore, updated: ignore, released: ignore, rotated: ignore, heard: ignore, lost: ignore };

describe('touch', () => {
  const upstream = (): never => {
    throw new Error('upstream');
  };

  it('leaves an entry whose refresh has failed to its back-off', async () => {
    const cache = engineOn(new MemoryStore()).namespace('default');
    await cache.set('k', 'old', { ttl: 400, freshFor: 1 });
    await until(async () => (await cache.get('k')).isStale, 1000);
    // Until the end of the entry's life, which is earlier.
    await cache.getOrSet('k', upstream, { backOff: '1m' });
    expect(await cache.touch('k', '1h')).toBe(true);
    expect(await cache.get('k')).toMatchObject({ isFound: true, isStale: true });
    await until(async () => (await cache.getOrSet('k', () => 'new', { ttl: '1h' })) === 'new', 2000);
  });
});
