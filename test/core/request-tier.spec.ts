import { describe, expect, it, onTestFinished } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import type { CacheService } from '../../src/core/cache.service.js';
import { RequestScope } from '../../src/core/tiers/request.scope.js';
import { MemoryStore } from '../../src/stores/memory/memory.store.js';
import { gate, type Gate } from './gate.js';

/** Its answers to reads may be held up, and its tokens be out of reach. */
class HeldUpStore extends MemoryStore {
  reads: Gate | undefined;
  isDown = false;

  override async read(keys: readonly string[]): Promise<Array<Uint8Array | undefined>> {
    const frames = await super.read(keys);
    await this.reads?.passed();
    return frames;
  }

  override async tokens(names: readonly string[]): Promise<string[]> {
    if (this.isDown) throw new Error('down');
    return super.tokens(names);
  }

  override async rotate(names: readonly string[], soft?: boolean): Promise<string[]> {
    if (this.isDown) throw new Error('down');
    return super.rotate(names, soft);
  }
}

interface Request {
  readonly cache: CacheService;
  readonly store: HeldUpStore;
  readonly scope: RequestScope;
  /** What runs from now on is in that scope. */
  readonly enter: (scope: RequestScope) => void;
}

function request(): Request {
  const store = new HeldUpStore();
  const scope = new RequestScope();
  let current = scope;
  const engine = new CacheEngine({ store, requestScope: () => current, memory: false, deadlineMs: 5000 });
  onTestFinished(() => engine.close());
  engine.open();
  return { cache: engine.namespace('default'), store, scope, enter: (next) => (current = next) };
}

/** A load that has begun, to be ended with what it read before. */
async function begun(cache: CacheService, load = gate()): Promise<() => Promise<string>> {
  const loading = cache.getOrSet('k', async () => {
    await load.passed();
    return 'old';
  });
  await load.reached;
  return () => {
    load.open();
    return loading;
  };
}

const changes: Record<string, (cache: CacheService) => Promise<unknown>> = {
  delete: (cache) => cache.delete('k'),
  expire: (cache) => cache.expire('k'),
  set: (cache) => cache.set('k', 'new'),
  clear: (cache) => cache.clear(),
};

describe('what a request has asked for before it changed something', () => {
  it.each(Object.keys(changes))('is not remembered by it when its loader has ended (%s)', async (change) => {
    const { cache } = request();
    const end = await begun(cache);
    await changes[change]?.(cache);
    expect(await end()).toBe('old');
    expect(await cache.getOrSet('k', () => 'new')).toBe('new');
  });

  it.each(Object.keys(changes))('is not remembered by it when the store has answered (%s)', async (change) => {
    const { cache, store, scope } = request();
    await cache.set('k', 'old');
    scope.entries.clear();
    store.reads = gate();
    const reading = cache.get('k');
    await store.reads.reached;
    const { reads } = store;
    store.reads = undefined;
    await changes[change]?.(cache);
    reads.open();
    await reading;
    const after = await cache.get('k');
    expect(after.isStale || after.getValueOrDefault('new') === 'new').toBe(true);
  });

  it('is not remembered by it while the store is down, either', async () => {
    const { cache, store } = request();
    await cache.get('k');
    store.isDown = true;
    const load = gate();
    const loading = cache.getOrSet(
      'k',
      async () => {
        await load.passed();
        return 'old';
      },
      { tags: ['t'] },
    );
    await load.reached;
    await cache.invalidateTags(['t']);
    load.open();
    await loading;
    expect(await cache.getOrSet('k', () => 'new', { tags: ['t'] })).toBe('new');
  });

  it('is not remembered by it if a part of it that has ended made the change', async () => {
    const { cache, scope, enter } = request();
    const end = await begun(cache);
    const part = scope.apart(0);
    enter(part);
    await cache.delete('k');
    part.end();
    enter(scope);
    await end();
    expect(await cache.getOrSet('k', () => 'new')).toBe('new');
  });

  it('is remembered as ever by a request that changes nothing', async () => {
    const { cache } = request();
    const end = await begun(cache);
    await end();
    expect(await cache.getOrSet('k', () => 'new')).toBe('old');
    expect(cache.stats().requestHits).toBe(1);
  });
});
