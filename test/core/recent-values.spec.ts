import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import type { CacheService } from '../../src/core/cache.service.js';
import type { EngineOptions } from '../../src/core/engine.options.js';
import { Frame } from '../../src/core/envelope/frame.js';
import { RecentValues } from '../../src/core/tiers/recent-values.js';
import { MemoryStore } from '../../src/stores/memory/memory.store.js';

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
function frameOf(checksum: number, id: bigint): Frame {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32BE(checksum, 4);
  bytes.writeBigUInt64BE(id, 8);
  return new Frame(bytes, '', 16, 16);
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

describe('RecentValues', () => {
  it('finds no version by another one of the same place', () => {
    const values = new RecentValues();
    const one = frameOf(7, 1n);
    const value = {};
    values.note(one, value);
    expect(values.find(one)).toBeUndefined();
    values.note(one, value);
    expect(values.find(frameOf(7, 1n))).toBe(value);
    const others = [frameOf(8, 1n), frameOf(7, 1n + (1n << 50n)), frameOf(7, 1n + (1n << 32n)), frameOf(7, 2n)];
    for (const other of others) expect(values.find(other)).toBeUndefined();
    values.note(frameOf(7, 1n + (1n << 20n)), {});
    values.note(frameOf(8, 1n), {});
    expect(values.find(frameOf(8, 1n))).toBeUndefined();
  });

  it('keeps no primitive', () => {
    const values = new RecentValues();
    for (let i = 0; i < 3; i++) values.note(frameOf(1, 1n), 'text');
    expect(values.find(frameOf(1, 1n))).toBeUndefined();
  });
});
