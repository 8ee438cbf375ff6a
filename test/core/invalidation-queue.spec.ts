import { describe, expect, it } from 'vitest';
import type { CacheEngine } from '../../src/core/cache-engine.js';
import { MAX_PENDING } from '../../src/core/outage/invalidation-queue.js';
import { MemoryDatabase, MemoryStore } from '../../src/stores/memory/memory.store.js';
import { until } from '../faults/subject.js';
import { BrokenStore, engineOn } from './broken.store.js';
import { gate, type Gate } from './gate.js';

const TAGS = Array.from({ length: MAX_PENDING + 1 }, (_, i) => `t${i}`);

async function sent(engine: CacheEngine): Promise<void> {
  await until(() => Object.values(engine.inspect().pending).every((count) => count === 0), 5000);
}

describe('more tags than can wait', () => {
  it.each([0, '1h'] as const)(
    'are not lost for namespaces that only others have, whatever grace (%s)',
    async (grace) => {
      const database = new MemoryDatabase();
      const store = new BrokenStore({ database });
      const engine = engineOn(store);
      const here = engine.namespace('default');
      const there = engineOn(new MemoryStore({ database }), { namespaces: [{ name: 'theirs' }] }).namespace('theirs');
      await there.setApplicationStamp('1');
      await there.set('k', 'old', { tags: ['t0'], ttl: '2h' });
      await there.setApplicationStamp('2', { grace });
      await there.set('later', 'old', { tags: ['t0'], ttl: '2h' });
      store.isDown = true;
      await here.invalidateTags(TAGS);
      expect(engine.inspect().pending).toEqual({ keys: 0, tokens: 1 });
      store.isDown = false;
      await sent(engine);
      for (const key of ['k', 'later']) expect((await there.get(key)).isFound).toBe(false);
      await there.set('later', 'new', { tags: ['t0'] });
      expect(there.peek('later')).toBe('new');
    },
  );

  it('void what is read here before they could be sent', async () => {
    const database = new MemoryDatabase();
    const store = new BrokenStore({ database });
    const here = engineOn(store).namespace('default');
    const there = engineOn(new MemoryStore({ database })).namespace('default');
    await here.set('tagged', 'old', { tags: ['t0'] });
    await there.set('remote', 'old', { tags: ['t0'] });
    store.rotate = () => Promise.reject(new Error('refused'));
    await here.invalidateTags(TAGS);
    // To learn the token of such a tag alone is not to revive what carries it.
    await here.getOrSet('other', (context) => (context.setTags(['t0']), 1));
    for (const key of ['tagged', 'remote']) expect((await here.get(key)).isFound).toBe(false);
  });
});

it('more keys than can wait, of which the store refuses the removal: none is read any more', async () => {
  const database = new MemoryDatabase();
  const store = new BrokenStore({ database });
  const here = engineOn(store).namespace('default');
  const there = engineOn(new MemoryStore({ database })).namespace('default');
  await there.set('k0', 'old');
  expect((await here.get('k0')).value).toBe('old');
  store.remove = () => Promise.reject(new Error('refused'));
  store.rotate = () => Promise.reject(new Error('refused'));
  await here.deleteMany(Array.from({ length: MAX_PENDING + 1 }, (_, i) => `k${i}`));
  expect((await here.get('k0')).isFound).toBe(false);
});

/** Has a deadline's worth of work with 500 names, and is given up where it is asked for more. */
class SlowStore extends BrokenStore {
  override async rotate(...asked: Parameters<MemoryStore['rotate']>): ReturnType<MemoryStore['rotate']> {
    if (asked[0].length > 500) throw new Error('took too long');
    return super.rotate(...asked);
  }

  override async remove(...asked: Parameters<MemoryStore['remove']>): ReturnType<MemoryStore['remove']> {
    if (asked[0].length > 500) throw new Error('took too long');
    return super.remove(...asked);
  }
}

describe('very many at a time', () => {
  const many = (prefix: string): string[] => Array.from({ length: 2100 }, (_, i) => `${prefix}${i}`);

  it('are sent in portions, of which each has a deadline of its own', async () => {
    const engine = engineOn(new SlowStore({}));
    const cache = engine.namespace('default');
    await cache.set('tagged', 1, { tags: ['t2099'] });
    await cache.setMany([
      ['k0', 1],
      ['k2099', 1],
    ]);
    await cache.invalidateTags(many('t'));
    expect(await cache.deleteMany(many('k'))).toBe(2);
    expect([(await cache.get('tagged')).isFound, cache.stats().queued]).toEqual([false, 0]);
  });

  it('that had to wait are sent in portions, too, and so are not waited for in vain for ever', async () => {
    const store = new SlowStore({});
    const engine = engineOn(store);
    const cache = engine.namespace('default');
    store.isDown = true;
    await cache.invalidateTags(many('t'));
    await cache.expireTags(many('s'));
    expect(engine.inspect().pending.tokens).toBe(4200);
    store.isDown = false;
    await sent(engine);
  });

  it('the rest waits where the store fails half way', async () => {
    const store = new SlowStore({});
    const engine = engineOn(store);
    const cache = engine.namespace('default');
    await cache.setMany([
      ['k0', 1],
      ['k2099', 1],
    ]);
    const { remove } = store;
    store.remove = (keys) => {
      store.isDown = true;
      store.remove = remove;
      return MemoryStore.prototype.remove.call(store, keys);
    };
    expect(await cache.deleteMany(many('k'))).toBe(2);
    expect(engine.inspect().pending.keys).toBe(1600);
    store.isDown = false;
    await sent(engine);
  });
});

/** Says only after a while that it has replaced a token. */
class SlowlyAnsweringStore extends BrokenStore {
  rotated: Gate | undefined;

  override async rotate(...asked: Parameters<MemoryStore['rotate']>): ReturnType<MemoryStore['rotate']> {
    const tokens = await super.rotate(...asked);
    await this.rotated?.passed();
    return tokens;
  }
}

it('a removal that comes while the token of its namespace is on its way is sent after it', async () => {
  const database = new MemoryDatabase();
  const store = new SlowlyAnsweringStore({ database });
  const engine = engineOn(store, { deadlineMs: 60_000 });
  const here = engine.namespace('default');
  const there = engineOn(new MemoryStore({ database })).namespace('default');
  await here.get('k');
  store.isDown = true;
  await here.clear();
  const rotated = (store.rotated = gate());
  store.isDown = false;
  const settled = engine.guard.queue.settle();
  await rotated.reached;
  // The server has cleared the namespace, and does not say so yet.
  await there.set('k', 'old', { ttl: '1h' });
  store.isDown = true;
  while (!engine.inspect().isStoreDown)
    await engine.guard.run('now', engine.guard.budget(), () => store.now()).catch(() => undefined);
  await here.delete('k');
  store.isDown = false;
  store.rotated = undefined;
  rotated.open();
  await settled;
  await sent(engine);
  expect((await there.get('k')).isFound).toBe(false);
});

it('what an attempt under way has failed to send is tried once more when the application closes', async () => {
  const database = new MemoryDatabase();
  const store = new SlowlyAnsweringStore({ database });
  const engine = engineOn(store);
  const here = engine.namespace('default');
  const there = engineOn(new MemoryStore({ database })).namespace('default');
  await there.set('k', 'old');
  store.isDown = true;
  await here.delete('k');
  await here.invalidateTags(['t']);
  // The removal fails, and the replacement of the tag's token is on its way.
  const rotated = (store.rotated = gate());
  store.remove = (keys) => {
    store.isDown = false;
    store.remove = (again) => MemoryStore.prototype.remove.call(store, again);
    return Promise.reject(new Error(`down for ${keys.length}`));
  };
  await rotated.reached;
  const drained = engine.drain();
  rotated.open();
  await drained;
  expect(engine.inspect().pending).toEqual({ keys: 0, tokens: 0 });
  expect((await there.get('k')).isFound).toBe(false);
});
