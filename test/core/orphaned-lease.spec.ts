import { setImmediate as turn } from 'node:timers/promises';
import { expect, it, onTestFinished, vi } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import type { CacheService } from '../../src/core/cache.service.js';
import { systemClock, type Clock } from '../../src/core/clock/clock.js';
import { StoreUnavailableError } from '../../src/core/errors/cache.error.js';
import { tagToken } from '../../src/core/namespace.js';
import type { Acquired, CacheStore, LeaseRequest } from '../../src/stores/contract/cache-store.js';
import { MemoryDatabase, MemoryStore } from '../../src/stores/memory/memory.store.js';
import { until } from '../faults/subject.js';
import { Gate } from '../functions/fleet.js';
import { SteppedClock } from '../races/stepped.clock.js';

/** Grants leases, and says so when the gate opens. */
class LateStore extends MemoryStore {
  readonly gate = new Gate<void>();

  override async acquire(key: string, request: LeaseRequest): Promise<Acquired> {
    const answer = await super.acquire(key, request);
    await this.gate.load();
    return answer;
  }
}

/** Is late with whatever is said of leases. */
class LateForAll extends LateStore {
  override async release(key: string, token: string): Promise<void> {
    await this.gate.load();
    return super.release(key, token);
  }
}

/** Refuses invalidations, and later takes them in when gates open. */
class SlowInvalidations extends MemoryStore {
  readonly removal = new Gate<void>();
  readonly rotation = new Gate<void>();
  isDown = true;

  override async remove(keys: readonly string[]): Promise<number> {
    if (this.isDown) throw new Error('down');
    await this.removal.load();
    return super.remove(keys);
  }

  override async rotate(names: readonly string[], soft?: boolean): Promise<string[]> {
    if (this.isDown) throw new Error('down');
    await this.rotation.load();
    return super.rotate(names, soft);
  }
}

function open(store: CacheStore, clock: Clock = systemClock): CacheEngine {
  const engine = new CacheEngine({ store, clock, deadlineMs: 20 });
  onTestFinished(() => engine.close());
  engine.open();
  return engine;
}

it('a lease that was granted too late to be used is given up: nobody waits for it', async () => {
  const database = new MemoryDatabase();
  const [late, other] = [new LateStore({ database }), new MemoryStore({ database })];
  const [here, there] = [late, other].map((store) => open(store).namespace('default'));
  const release = vi.spyOn(late, 'release');
  expect(await here?.getOrSet('k', () => 'alone')).toBe('alone');
  expect(release).toHaveBeenCalledTimes(1);
  const acquire = vi.spyOn(other, 'acquire');
  expect(await there?.getOrSet('k', () => 'theirs', { waitBudget: 100 })).toBe('theirs');
  expect(await acquire.mock.results[0]?.value).toMatchObject({ outcome: 'lease' });
});

it('so are those that came too late by so many that the store is held to be down', async () => {
  const database = new MemoryDatabase();
  const late = new LateForAll({ database });
  const engine = open(late);
  const there = open(new MemoryStore({ database })).namespace('default');
  const keys = Array.from({ length: 10 }, (_, i) => `k${i}`);
  const calls = keys.map((key) => engine.namespace('default').getOrSet(key, () => 'alone', { lease: '1h' }));
  await Promise.all(calls);
  expect(engine.inspect().isStoreDown).toBe(true);
  late.gate.open();
  // Given up in the turn in which they come.
  await turn();
  const theirs = keys.map((key) => there.getOrSet(key, () => 'theirs', { onCold: 'throw' }));
  expect(new Set(await Promise.all(theirs))).toEqual(new Set(['theirs']));
});

it('so is one that was asked for behind invalidations that waited, when its caller had gone on', async () => {
  const clock = new SteppedClock();
  const database = new MemoryDatabase({ clock });
  const slow = new SlowInvalidations({ database });
  const here = open(slow, clock).namespace('default');
  const there = open(new MemoryStore({ database }), clock).namespace('default');
  await here.getOrSet('warm', () => 1);
  const acquire = vi.spyOn(slow, 'acquire');
  await here.delete('x');
  await here.invalidateTags(['t']);
  slow.isDown = false;
  clock.advance(100);
  await slow.removal.begun;
  const options = { lease: '1h', onCold: 'throw' } as const;
  const call = here.getOrSet('k', () => 'alone', options);
  await turn();
  // Both are taken in in time, and the two of them take too long.
  clock.advance(15);
  slow.removal.open();
  await slow.rotation.begun;
  clock.advance(10);
  expect(await call).toBe('alone');
  expect(acquire).not.toHaveBeenCalled();
  slow.rotation.open();
  await until(() => acquire.mock.results.length > 0, 2000);
  expect(await acquire.mock.results[0]?.value).toMatchObject({ outcome: 'lease' });
  expect(await there.getOrSet('k', () => 'theirs', options)).toBe('theirs');
});

/** Stale values under a tag of which the store of `here` tells nothing. */
async function withUntoldTag(keys: readonly string[], reason: StoreUnavailableError['reason']) {
  const database = new MemoryDatabase();
  const store = new MemoryStore({ database });
  const engine = open(store);
  const [here, there] = [engine, open(new MemoryStore({ database }))].map((one) => one.namespace('default')) as [
    CacheService,
    CacheService,
  ];
  for (const key of keys) {
    await there.set(key, 'old', { tags: ['t'] });
    await there.expire(key);
  }
  await here.getOrSet('warm', () => 1);
  const { tokens } = store;
  vi.spyOn(store, 'tokens').mockImplementation(async (names) => {
    if (names.includes(tagToken('t'))) throw new StoreUnavailableError('memory', 'tokens', reason);
    return tokens.call(store, names);
  });
  return { engine, store, here, there };
}

it.each(['refused', 'connection'] as const)(
  'a lease is used though what came with it cannot be judged, for its tag is not told (%s)',
  async (reason) => {
    const { store, here, there } = await withUntoldTag(['k'], reason);
    const acquire = vi.spyOn(store, 'acquire');
    const options = { onCold: 'throw', lease: '1h' } as const;
    expect(await here.getOrSet('k', () => 'new', options)).toBe('new');
    const stale = expect.anything() as unknown;
    expect(await acquire.mock.results[0]?.value).toMatchObject({ outcome: 'lease', stale });
    expect(await there.getOrSet('k', () => 'theirs', options)).toBe('new');
  },
);

it('so many of them that the store is held to be down leave none behind', async () => {
  const keys = Array.from({ length: 10 }, (_, i) => `k${i}`);
  const { engine, here, there } = await withUntoldTag(keys, 'connection');
  const options = { onCold: 'throw', lease: '1h', staleWhileLoading: false } as const;
  const calls = keys.map((key) => here.getOrSet(key, () => 'ours', options));
  expect(new Set(await Promise.all(calls))).toEqual(new Set(['ours']));
  expect(engine.inspect().isStoreDown).toBe(true);
  await engine.drain();
  const theirs = await Promise.all(keys.map((key) => there.getOrSet(key, () => 'theirs', options)));
  expect(new Set(theirs)).toEqual(new Set(['theirs']));
});

it('a lease whose value the store refuses is given up, and what was loaded is kept here all the same', async () => {
  const database = new MemoryDatabase();
  const [store, other] = [new MemoryStore({ database }), new MemoryStore({ database })];
  const [here, there] = [store, other].map((one) => open(one).namespace('default')) as [CacheService, CacheService];
  const refusal = new StoreUnavailableError('memory', 'fill', 'refused');
  vi.spyOn(store, 'fill').mockRejectedValue(refusal);
  const options = { onCold: 'throw', lease: '1h' } as const;
  const load = vi.fn(() => 'ours');
  for (let times = 0; times < 2; times++) expect(await here.getOrSet('k', load, options)).toBe('ours');
  expect(await there.getOrSet('k', () => 'theirs', options)).toBe('theirs');
  // It heard of that.
  expect(await here.getOrSet('k', load, options)).toBe('theirs');
  expect(load).toHaveBeenCalledTimes(1);
});
