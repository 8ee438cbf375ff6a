import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import type { CacheService } from '../../src/core/cache.service.js';
import type { EngineOptions } from '../../src/core/engine.options.js';
import { RecentVersions, type KnownVersion } from '../../src/core/tiers/recent-versions.js';
import { MemoryStore } from '../../src/stores/memory/memory.store.js';
import { SteppedClock } from '../races/stepped.clock.js';

const engines: CacheEngine[] = [];
function withoutMemory(options: Partial<EngineOptions> = {}): CacheService {
  const engine = new CacheEngine({ store: new MemoryStore(), memory: false, ...options });
  engines.push(engine);
  engine.open();
  return engine.namespace('default');
}
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.close()));
});

async function valueOf(cache: CacheService, key: string): Promise<unknown> {
  const { tier, value } = await cache.get(key);
  expect(tier).toBe('remote');
  return value;
}

/** As much of one as is looked at. */
function frameOf(checksum: number, id: bigint): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32BE(checksum, 4);
  bytes.writeBigUInt64BE(id, 8);
  return bytes;
}

describe('a value that is read from the remote tier again and again', () => {
  it('is decoded the first two times, and then the one that is there', async () => {
    const cache = withoutMemory();
    await cache.set('k', { n: [1] });
    const read = [await valueOf(cache, 'k'), await valueOf(cache, 'k'), await valueOf(cache, 'k')];
    expect(read[1]).not.toBe(read[0]);
    expect(read[2]).toBe(read[1]);
    expect(read[2]).toEqual({ n: [1] });
    expect(Object.isFrozen((read[2] as { n: number[] }).n)).toBe(true);
  });

  it('is another one once it was written again, be it the same', async () => {
    const cache = withoutMemory();
    await cache.set('k', { n: 1 });
    for (let i = 0; i < 3; i++) await valueOf(cache, 'k');
    const before = await valueOf(cache, 'k');
    await cache.set('k', { n: 1 });
    expect(await valueOf(cache, 'k')).not.toBe(before);
    await cache.set('k', { n: 2 });
    for (let i = 0; i < 3; i++) expect(await valueOf(cache, 'k')).toEqual({ n: 2 });
    await cache.delete('k');
    expect((await cache.get('k')).isFound).toBe(false);
  });

  it('is none of before a clear, an expiry, or another stamp, however often it was read', async () => {
    const clock = new SteppedClock();
    const cache = withoutMemory({ clock, store: new MemoryStore({ clock }) });
    const known = async (): Promise<void> => {
      await cache.set('k', { n: 1 }, { ttl: 1000 });
      for (let i = 0; i < 4; i++) expect(await cache.get('k')).toMatchObject({ isFound: true, isStale: false });
    };
    await known();
    await cache.clear();
    expect((await cache.get('k')).isFound).toBe(false);
    await known();
    clock.advance(1000);
    expect((await cache.get('k')).isFound).toBe(false);
    await known();
    await cache.setStamp('2', { grace: 500 });
    for (let i = 0; i < 5; i++) expect(await cache.get('k')).toMatchObject({ isFound: true, isStale: true });
    clock.advance(500);
    for (let i = 0; i < 5; i++) expect((await cache.get('k')).isFound).toBe(false);
  });

  it('is nothing under another key, whoever has put it there', async () => {
    const { database } = new MemoryStore();
    const cache = withoutMemory({ store: new MemoryStore({ database }) });
    await cache.set('k', { n: 1 });
    for (let i = 0; i < 4; i++) await valueOf(cache, 'k');
    const { storeKey } = (await cache.explain('k')) as { storeKey: string };
    const store = new MemoryStore({ database });
    const [frame] = await store.read([storeKey]);
    await store.write(storeKey.replace('k}', 'l}'), frame as Uint8Array, 60_000);
    for (let i = 0; i < 3; i++) expect((await cache.get('l')).isFound).toBe(false);
    expect(await valueOf(cache, 'k')).toEqual({ n: 1 });
  });

  it('is nothing once its time is over, though the store still has it', async () => {
    const clock = new SteppedClock();
    const store = new MemoryStore({ clock });
    const cache = withoutMemory({ clock, store });
    await cache.set('k', { n: 1 }, { ttl: 1000 });
    const { storeKey } = (await cache.explain('k')) as { storeKey: string };
    const [frame] = await store.read([storeKey]);
    await store.write(storeKey, frame as Uint8Array, 60_000);
    for (let i = 0; i < 4; i++) expect(await valueOf(cache, 'k')).toEqual({ n: 1 });
    clock.advance(1000);
    for (let i = 0; i < 3; i++) expect((await cache.get('k')).isFound).toBe(false);
  });

  it('has its times by the clock of the store as it is now', async () => {
    const clock = new SteppedClock();
    const store = new MemoryStore({ clock });
    let ahead = 0;
    const { now } = store;
    store.now = async () => (await now.call(store)) + ahead;
    const cache = withoutMemory({ clock, store });
    await cache.set('k', { n: 1 }, { ttl: '1h', freshFor: '1m' });
    for (let i = 0; i < 4; i++) expect((await cache.get('k')).isStale).toBe(false);
    // Measured again after 30 s.
    ahead = 50_000;
    clock.advance(31_000);
    await cache.get('k');
    await vi.waitFor(async () => expect((await cache.get('k')).isStale).toBe(true));
  });

  it.each([
    ['copies', { isolation: 'copy' }, { n: 1 }],
    ['what freezing cannot protect', {}, { at: new Date(0) }],
  ] as const)('is its reader’s own where it must be: %s', async (_, options, value) => {
    const cache = withoutMemory({ namespaces: [{ name: 'default', ...options }] });
    await cache.set('k', value);
    const read = new Set<unknown>();
    for (let i = 0; i < 4; i++) read.add(await valueOf(cache, 'k'));
    expect(read.size).toBe(4);
  });

  it('takes no memory that nobody else needs', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const cache = withoutMemory();
    await cache.set('k', { n: 1 });
    await valueOf(cache, 'k');
    const kept = new WeakRef((await valueOf(cache, 'k')) as object);
    // What was looked up is held until the turn has ended.
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    expect(kept.deref()).toBeUndefined();
    expect(await valueOf(cache, 'k')).toEqual({ n: 1 });
  });
});

describe('RecentVersions', () => {
  it('finds no version by another one of the same place', () => {
    const versions = new RecentVersions();
    const one = frameOf(7, 1n);
    const value = {};
    versions.note(one, value);
    expect(versions.value(one)).toBeUndefined();
    versions.note(one, value);
    expect(versions.value(frameOf(7, 1n))).toBe(value);
    const others = [frameOf(8, 1n), frameOf(7, 1n + (1n << 50n)), frameOf(7, 1n + (1n << 32n)), frameOf(7, 2n)];
    for (const other of others) expect(versions.value(other)).toBeUndefined();
    versions.note(frameOf(7, 1n + (1n << 20n)), {});
    versions.note(frameOf(8, 1n), {});
    expect(versions.value(frameOf(8, 1n))).toBeUndefined();
  });

  it('knows what was read twice, until another version has its place', () => {
    const versions = new RecentVersions();
    const [one, other] = [frameOf(7, 1n), frameOf(8, 1n)];
    const known = {} as KnownVersion;
    versions.keep(one, known);
    versions.note(one, {});
    versions.keep(one, known);
    expect(versions.find(one)).toBeUndefined();
    versions.note(one, {});
    versions.keep(other, known);
    expect(versions.find(one)).toBeUndefined();
    versions.keep(one, known);
    expect([versions.find(one), versions.find(other)]).toEqual([known, undefined]);
    versions.note(other, {});
    expect([versions.find(one), versions.find(other)]).toEqual([undefined, undefined]);
  });

  it('finds nothing by what is too short to be a frame', () => {
    const versions = new RecentVersions();
    for (let length = 0; length < 16; length++) expect(versions.find(Buffer.alloc(length))).toBeUndefined();
  });

  it('keeps no primitive', () => {
    const versions = new RecentVersions();
    for (let i = 0; i < 3; i++) versions.note(frameOf(1, 1n), 'text');
    expect(versions.value(frameOf(1, 1n))).toBeUndefined();
  });
});
