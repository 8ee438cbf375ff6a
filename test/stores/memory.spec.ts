import { describe, expect, it } from 'vitest';
import { MemoryDatabase, MemoryStore } from '../../src/stores/memory/memory.store.js';
import { frame, request } from '../../src/testing/conformance.subject.js';
import { RecordingListener } from '../../src/testing/recording-listener.js';
import { TestClock } from './test.clock.js';

describe('the memory store', () => {
  it('drops the oldest frames beyond maxEntries and reports them to everybody', async () => {
    const store = new MemoryStore({ maxEntries: 2, clock: new TestClock() });
    const heard = new RecordingListener();
    store.open(heard);
    for (const key of ['a', 'b', 'a', 'c']) await store.write(key, frame(), 1000);
    expect((await store.read(['a', 'b', 'c'])).map(Boolean)).toEqual([true, false, true]);
    expect(heard.names('changed')).toEqual(['b']);
  });

  it('stays within maxBytes, and does not give up everything for one frame that is too big', async () => {
    const store = new MemoryStore({ maxBytes: 100 });
    await store.write('a', frame(new Uint8Array(20)), 1000);
    await store.write('b', frame(new Uint8Array(20)), 1000);
    await store.write('c', frame(new Uint8Array(20)), 1000);
    expect((await store.read(['a', 'b', 'c'])).map(Boolean)).toEqual([false, true, true]);
    expect(store.database.bytes).toBe(74);
    await store.write('b', frame(new Uint8Array(200)), 1000);
    expect((await store.read(['b', 'c'])).map(Boolean)).toEqual([false, true]);
  });

  it('keeps the tokens that are asked for', async () => {
    const store = new MemoryStore({ maxEntries: 3 });
    const [used] = await store.tokens(['used']);
    for (let i = 0; i < 10; i++) expect(await store.tokens([`t${i}`, 'used'])).toContain(used);
  });

  it('keeps no memory alive that a frame is a small part of', async () => {
    const store = new MemoryStore();
    const pool = new Uint8Array(8192);
    pool.set(frame(), 4000);
    const written = pool.subarray(4000, 4000 + frame().length);
    await store.write('a', written, 1000);
    const [read] = (await store.read(['a'])) as [Uint8Array];
    expect(Buffer.compare(read, written)).toBe(0);
    expect(read.buffer.byteLength).toBeLessThan(200);
  });

  it('keeps its bounds under many short-lived keys, leases and tokens', async () => {
    const clock = new TestClock();
    const store = new MemoryStore({ maxEntries: 5000, clock });
    for (let i = 0; i < 20_000; i++) {
      await store.write(`k${i}`, frame(), 10);
      clock.advance(1);
    }
    expect(store.database.size).toBeLessThanOrEqual(2010);
    const heard = new RecordingListener();
    store.open(heard);
    const [first] = await store.tokens(['t0']);
    for (let i = 1; i <= 5000; i++) await store.tokens([`t${i}`]);
    expect(heard.names('rotated')).toEqual(['t0']);
    expect(await store.tokens(['t0'])).not.toEqual([first]);
  });

  it('keeps the newest maxEntries through removals, second writes, sweeps and a flush', async () => {
    const store = new MemoryStore({ maxEntries: 50, clock: new TestClock() });
    const newest = new Set<string>();
    for (let i = 0; i < 5000; i++) {
      const key = `k${(i * 7919) % 120}`;
      newest.delete(key);
      if (i === 2500) {
        store.database.flush();
        newest.clear();
      }
      if (i % 5 === 0) await store.remove([key]);
      else {
        await store.write(key, frame(), 1000);
        newest.add(key);
      }
      if (newest.size > 50) newest.delete([...newest][0] as string);
    }
    const keys = Array.from({ length: 120 }, (_, i) => `k${i}`);
    const kept = (await store.read(keys)).flatMap((found, i) => (found ? [keys[i]] : []));
    expect(kept.sort()).toEqual([...newest].sort());
    expect(kept.length).toBe(50);
  });

  it('reports at once to other sessions and never to the one that wrote', async () => {
    const database = new MemoryDatabase({ clock: new TestClock() });
    const [one, two] = [new MemoryStore({ database }), new MemoryStore({ database })];
    const [heardOne, heardTwo] = [new RecordingListener(), new RecordingListener()];
    one.open(heardOne);
    two.open(heardTwo);
    expect(heardOne.count('heard')).toBe(1);
    void one.write('a', frame(), 1000);
    void one.rotate(['t']);
    expect(heardTwo.names('changed')).toEqual(['a']);
    expect(heardTwo.names('rotated')).toEqual(['t']);
    expect(heardOne.count('changed') + heardOne.count('rotated')).toBe(0);
    database.flush();
    expect([heardOne.count('flushed'), heardTwo.count('flushed')]).toEqual([1, 1]);
  });

  it('loses a lease that is dropped under its holder', async () => {
    const store = new MemoryStore();
    const holder = request();
    await store.acquire('a', holder);
    expect(store.database.dropLease('a')).toBe(true);
    expect(await store.fill('a', holder.token, frame(), 1000)).toBe(false);
  });
});
