import { describe, expect, it } from 'vitest';
import type { CacheService } from '../../src/core/cache.service.js';
import type { StoreListener } from '../../src/stores/contract/cache-store.js';
import { MemoryDatabase, MemoryStore } from '../../src/stores/memory/memory.store.js';
import { until } from '../faults/subject.js';
import { BrokenStore, engineOn } from './broken.store.js';
import { gate, type Gate } from './gate.js';

const MOST_MS = 200;
const MEMORY = { maxEntries: 10, maxBytes: 1_000_000, maxStaleWithoutBusMs: MOST_MS };

/** Its reports can end for good. */
class FallingSilentStore extends BrokenStore {
  #listener: StoreListener | undefined;
  #isSilent = false;

  override open(listener: StoreListener): void {
    this.#listener = listener;
    const told = new Proxy(listener, {
      get: (to, name) => (this.#isSilent ? () => undefined : (to[name as keyof StoreListener] as () => void).bind(to)),
    });
    super.open(told);
  }

  fallSilent(silentMs?: number): void {
    this.#isSilent = true;
    this.#listener?.lost(silentMs);
  }

  hearAgain(): void {
    this.#isSilent = false;
    this.#listener?.heard();
  }
}

interface CutOff {
  readonly here: CacheService;
  readonly there: CacheService;
  readonly store: FallingSilentStore;
  readonly load: Gate;
}

/** `here` has a stale value. */
async function stale(): Promise<CutOff> {
  const database = new MemoryDatabase();
  const store = new FallingSilentStore({ database });
  const here = engineOn(store, { memory: MEMORY, deadlineMs: 5000 }).namespace('default');
  const there = engineOn(new MemoryStore({ database })).namespace('default');
  await here.set('k', 'old', { ttl: '1h', freshFor: 1 });
  await until(async () => (await here.get('k')).isStale, 1000);
  return { here, there, store, load: gate() };
}

async function loaded({ load }: CutOff): Promise<string> {
  await load.passed();
  return 'loaded';
}

describe('what a long load offers meanwhile', () => {
  it('is offered no longer than anything else from before the process was cut off from news', async () => {
    const cut = await stale();
    const { here, there, store, load } = cut;
    const first = here.getOrSet('k', () => loaded(cut), { lease: '1m' });
    await load.reached;
    expect(await here.getOrSet('k', () => 'mine')).toBe('old');
    store.fallSilent();
    await there.delete('k');
    await there.set('k', 'new', { ttl: '1h' });
    await until(async () => (await here.getOrSet('k', () => 'mine')) === 'new', 2000);
    load.open();
    await first;
  });

  it('also if the load began after that, for the store is down', async () => {
    const cut = await stale();
    const { here, store, load } = cut;
    store.isDown = true;
    store.fallSilent();
    const first = here.getOrSet('k', () => loaded(cut));
    await load.reached;
    expect(await here.getOrSet('k', () => 'mine')).toBe('old');
    await until(
      async () => (await here.getOrSet('k', () => 'mine', { waitBudget: 1 }).catch(() => 'refused')) !== 'old',
      2000,
    );
    load.open();
    expect(await first).toBe('loaded');
  });
});

describe('what is in memory when it is found out that nothing was heard for a while', () => {
  it('is served for what is left of its time', async () => {
    const store = new FallingSilentStore();
    const here = engineOn(store, { memory: MEMORY }).namespace('default');
    for (const silentMs of [MOST_MS, 60_000]) {
      await here.set('k', 'v', { ttl: '1h' });
      expect(here.peek('k')).toBe('v');
      store.fallSilent(silentMs);
      expect(here.peek('k')).toBeUndefined();
      store.hearAgain();
    }
  });
});
