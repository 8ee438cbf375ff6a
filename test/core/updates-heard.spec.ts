import { beforeEach, describe, expect, it, vi } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import type { CacheService } from '../../src/core/cache.service.js';
import { tagToken } from '../../src/core/namespace.js';
import type { StoreListener, WriteCondition } from '../../src/stores/contract/cache-store.js';
import { MemoryDatabase, MemoryStore } from '../../src/stores/memory/memory.store.js';
import { Gate, never } from '../functions/fleet.js';
import { SteppedClock } from '../races/stepped.clock.js';

/** Shows what is written through it, and whom it reports to. */
class OpenStore extends MemoryStore {
  listener: StoreListener | undefined;
  written: { key: string; frame: Uint8Array } | undefined;

  override open(listener: StoreListener): void {
    this.listener = listener;
    super.open(listener);
  }

  override fill(key: string, token: string, frame: Uint8Array, ttlMs: number) {
    this.written = { key, frame };
    return super.fill(key, token, frame, ttlMs);
  }

  override write(key: string, frame: Uint8Array, ttlMs: number, condition?: WriteCondition) {
    this.written = { key, frame };
    return super.write(key, frame, ttlMs, condition);
  }
}

const clock = new SteppedClock();
let database: MemoryDatabase;
let stores: [OpenStore, OpenStore];
let here: CacheService;
let there: CacheService;
let listening: CacheEngine;

beforeEach(() => {
  database = new MemoryDatabase({ clock });
  stores = [new OpenStore({ database }), new OpenStore({ database })];
  const engines = stores.map((store) => new CacheEngine({ store, clock }));
  for (const engine of engines) engine.open();
  listening = engines[1] as CacheEngine;
  [here, there] = engines.map((engine) => engine.namespace('default')) as [CacheService, CacheService];
});

/** Tells the listening process of the last write, as if it had been later than all it knows. */
function tellAgain(forMs: number, frame?: Uint8Array): void {
  clock.advance(1);
  const { key, frame: written } = stores[0].written as { key: string; frame: Uint8Array };
  stores[1].listener?.updated(key, frame ?? written, clock.now(), forMs);
}

/** The listening process waits for what the other one loads; `asked` resolves when it was told so often that it must. */
async function awaited() {
  const gate = new Gate<string>();
  const loading = here.getOrSet('k', gate.load, { ttl: '1h' });
  await gate.begun;
  const acquire = vi.spyOn(stores[1], 'acquire');
  const waiting = there.getOrSet('k', never, { ttl: '1h' });
  const asked = (times: number): Promise<void> =>
    vi.waitFor(async () => expect(await acquire.mock.results[times - 1]?.value).toMatchObject({ outcome: 'held' }));
  return { gate, loading, waiting, asked };
}

describe('an update that is reported with its value', () => {
  it('replaces what is remembered, and nobody is asked', async () => {
    await here.set('k', 'old', { ttl: '1h' });
    await there.get('k');
    const read = vi.spyOn(stores[1], 'read');
    clock.advance(1);
    await here.set('k', { now: 'new' }, { ttl: '1h' });
    expect(there.peek('k')).toEqual({ now: 'new' });
    expect(await there.get('k')).toMatchObject({ value: { now: 'new' }, tier: 'memory' });
    expect(read).not.toHaveBeenCalled();
    expect(Object.isFrozen(there.peek('k'))).toBe(true);
  });

  it('leaves the entry its place: what is read often is not dropped for being updated often', async () => {
    const store = new OpenStore({ database: database });
    const engine = new CacheEngine({
      store,
      clock,
      memory: { maxEntries: 20, maxBytes: 100_000, maxStaleWithoutBusMs: 5000 },
    });
    engine.open();
    const small = engine.namespace('default');
    await here.set('k', 1, { ttl: '1h' });
    await small.get('k');
    for (let reads = 0; reads < 3; reads++) small.peek('k');
    clock.advance(1);
    await here.set('k', 2, { ttl: '1h' });
    for (let i = 0; i < 40; i++) await small.set(`other${i}`, i);
    expect(small.peek('k')).toBe(2);
  });

  it('is gone on with for as long as the store says, and then asked for', async () => {
    await here.set('k', 'value', { ttl: '1h' });
    await there.get('k');
    tellAgain(50);
    clock.advance(49);
    expect((await there.get('k')).tier).toBe('memory');
    clock.advance(1);
    expect(there.peek('k')).toBeUndefined();
    expect((await there.get('k')).tier).toBe('remote');
    clock.advance(1000);
    expect((await there.get('k')).tier).toBe('memory');
  });

  it('is not loaded anew early because it ends early here', async () => {
    const loader = vi.fn(() => 'loaded');
    await here.set('k', 'value', { ttl: '1h' });
    await there.get('k');
    clock.advance(1000);
    tellAgain(50);
    clock.advance(49);
    expect(await there.getOrSet('k', loader, { ttl: '1h', eagerRefresh: 0.5 })).toBe('value');
    await listening.drain();
    expect(loader).not.toHaveBeenCalled();
  });

  it('is not kept by a process that does not remember the key', async () => {
    await there.set('another', 1);
    await here.set('k', 'value');
    expect(listening.inspect().memory?.entries).toBe(1);
    expect((await there.get('k')).tier).toBe('remote');
  });

  it('is a miss where its frame is not sound', async () => {
    await here.set('k', 'value');
    await there.get('k');
    const broken = Uint8Array.from(stores[0].written?.frame ?? []);
    broken[broken.length - 2] = (broken.at(-2) ?? 0) ^ 1;
    tellAgain(50, broken);
    expect(there.peek('k')).toBeUndefined();
    expect((await there.get('k')).value).toBe('value');
  });

  it('is a miss where it was written under tokens that are gone, or are not known', async () => {
    await here.set('k', 'old', { tags: ['t'] });
    const before = stores[0].written?.frame;
    await here.invalidateTags(['t']);
    await here.set('k', 'new', { tags: ['t'] });
    await there.get('k');
    expect(there.peek('k')).toBe('new');
    tellAgain(50, before);
    expect(there.peek('k')).toBeUndefined();
    await there.get('k');
    stores[1].listener?.rotated(['default']);
    const tokens = vi.spyOn(stores[1], 'tokens');
    await here.set('k', 'newer', { tags: ['not seen there'] });
    expect(there.peek('k')).toBeUndefined();
    expect(tokens).not.toHaveBeenCalled();
  });

  it('is what a caller gets who waits for the key, and is not asked for again', async () => {
    const gate = new Gate<object>();
    const loading = here.getOrSet('k', gate.load, { ttl: '1h' });
    await gate.begun;
    const acquire = vi.spyOn(stores[1], 'acquire');
    const waiting = there.getOrSet('k', never, { ttl: '1h' });
    await vi.waitFor(async () => expect(await acquire.mock.results[0]?.value).toMatchObject({ outcome: 'held' }));
    clock.advance(1);
    gate.open({ loaded: true });
    expect(await waiting).toEqual(await loading);
    expect(acquire).toHaveBeenCalledTimes(1);
    expect(there.stats().remoteHits).toBe(1);
  });

  it('is not what a caller gets who waits, if it was taken back, or its tags were', async () => {
    await there.get('another');
    await here.set('k', 'before', { ttl: '1h', tags: ['t'] });
    const before = stores[0].written?.frame as Uint8Array;
    await there.get('k');
    await here.delete('k');
    const { gate, loading, waiting, asked } = await awaited();
    await asked(1);
    tellAgain(50, before);
    stores[1].listener?.changed([stores[0].written?.key as string]);
    await asked(2);
    tellAgain(50, before);
    stores[1].listener?.rotated([tagToken('t')]);
    await asked(3);
    gate.open('after');
    expect([await waiting, await loading]).toEqual(['after', 'after']);
  });

  it('is asked for where a reply, or what this process did itself, may know more', async () => {
    await here.set('k', 'older', { ttl: '1h' });
    const { key, frame } = stores[0].written as { key: string; frame: Uint8Array };
    const sentAt = clock.now();
    clock.advance(1);
    await there.set('k', 'own', { ttl: '1h' });
    stores[1].listener?.updated(key, frame, sentAt, 50);
    expect(there.peek('k')).toBeUndefined();
    await here.set('k', 'newer', { ttl: '1h' });
    clock.advance(1);
    await there.get('k');
    stores[1].listener?.updated(key, frame, clock.now() - 1, 50);
    expect(there.peek('k')).toBeUndefined();
    expect((await there.get('k')).value).toBe('newer');
  });

  it('is not what a caller gets who asked when it was there already', async () => {
    await there.get('another');
    await here.set('k', 'older', { ttl: '1h' });
    const { key, frame } = stores[0].written as { key: string; frame: Uint8Array };
    const sentAt = clock.now();
    clock.advance(1);
    await here.delete('k');
    const { gate, loading, waiting, asked } = await awaited();
    await asked(1);
    stores[1].listener?.updated(key, frame, sentAt, 50);
    await asked(2);
    gate.open('newer');
    expect([await waiting, await loading]).toEqual(['newer', 'newer']);
  });

  it('voids a reading that it has overtaken', async () => {
    await here.set('k', 'old', { ttl: '1h' });
    await there.get('k');
    stores[1].listener?.changed([stores[0].written?.key as string]);
    const reading = there.get('k');
    await here.set('k', 'new', { ttl: '1h' });
    await reading;
    expect(there.peek('k')).not.toBe('old');
  });
});
