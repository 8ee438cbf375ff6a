import assert from 'node:assert/strict';
import { sameFrame } from '../stores/contract/cache-store.js';
import { frame, freshKey, type Promised } from './conformance.subject.js';

/** Reading, writing, removing and expiry of frames. */
export function promiseEntries(it: Promised): void {
  it('reads in the order asked, undefined where there is nothing', async (world) => {
    const store = world.session();
    const [a, b, none] = [freshKey(), freshKey(), freshKey()];
    const [frameA, frameB] = [frame('a'), frame('b')];
    await store.write(a, frameA, 10_000);
    await store.write(b, frameB, 10_000);
    same(await store.read([b, none, a, b]), [frameB, undefined, frameA, frameB]);
    same(await store.read([]), []);
  });

  it('keeps reads of one tick apart', async (world) => {
    const store = world.session();
    const keys = [freshKey(), freshKey(), freshKey()];
    const frames = keys.map(() => frame());
    await Promise.all(keys.map((key, i) => store.write(key, frames[i] as Uint8Array, 10_000)));
    const reads = await Promise.all([store.read([keys[2] as string]), store.read([freshKey()]), store.read(keys)]);
    same(reads[0], [frames[2]]);
    same(reads[1], [undefined]);
    same(reads[2], frames);
  });

  it('shows a write to every session at once, the newest one', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const key = freshKey();
    const last = frame('second');
    assert.deepEqual(await one.write(key, frame('first'), 10_000), { written: true });
    assert.deepEqual(await two.write(key, last, 10_000), { written: true });
    same(await one.read([key]), [last]);
  });

  it('forgets a frame after its ttl, and counts the ttl from the last write', async (world) => {
    const store = world.session();
    const [short, renewed, long] = [freshKey(), freshKey(), freshKey()];
    const kept = frame();
    await store.write(short, frame(), 150);
    await store.write(renewed, frame(), 150);
    await store.write(renewed, kept, 60_000);
    await store.write(long, kept, Infinity);
    await world.pass(250);
    same(await store.read([short, renewed, long]), [undefined, kept, kept]);
  });

  it('takes a ttl of less than a millisecond for the shortest one', async (world) => {
    const store = world.session();
    const key = freshKey();
    assert.deepEqual(await store.write(key, frame(), 0.25), { written: true });
    await world.pass(50);
    same(await store.read([key]), [undefined]);
  });

  it('keeps every byte of a frame', async (world) => {
    const store = world.session();
    const key = freshKey();
    const every = frame(Uint8Array.from({ length: 512 }, (_, i) => i & 255));
    await store.write(key, every, 10_000);
    same(await store.read([key]), [every]);
  });

  it('keeps a frame of 1 MB', async (world) => {
    const store = world.session();
    const key = freshKey();
    const big = frame(new Uint8Array(1024 * 1024 - 64).fill(0xa5));
    await store.write(key, big, 10_000);
    same(await store.read([key]), [big]);
  });

  it('tells keys apart that differ in one character or in case, up to 200 characters', async (world) => {
    const store = world.session();
    const base = freshKey();
    const long = base.padEnd(199, 'x');
    const keys = [`${base}a`, `${base}A`, `${base}*`, `${base}%_[a]?\\'"`, `${long}y`, `${long}z`];
    const frames = keys.map((key) => frame(key));
    await Promise.all(keys.map((key, i) => store.write(key, frames[i] as Uint8Array, 10_000)));
    same(await store.read(keys), frames);
    assert.equal(await store.remove([`${base}*`]), 1);
    same((await store.read(keys)).slice(0, 2), frames.slice(0, 2));
  });

  it('removes frames and says how many there were', async (world) => {
    const store = world.session();
    const [a, b, none] = [freshKey(), freshKey(), freshKey()];
    await store.write(a, frame(), 10_000);
    await store.write(b, frame(), 10_000);
    assert.equal(await store.remove([a, none, b]), 2);
    same(await store.read([a, b]), [undefined, undefined]);
    assert.equal(await store.remove([a]), 0);
    assert.equal(await store.remove([]), 0);
  });

  it('has a clock that goes on, the same for all sessions', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const before = await one.now();
    await world.pass(60);
    const after = await two.now();
    assert.ok(after - before >= 50, `60 ms later the clock had moved by ${after - before} ms`);
    assert.ok(after - before < 10_000, `60 ms later the clock had moved by ${after - before} ms`);
  });

  it('rejects operations after close, and closes more than once without complaint', async (world) => {
    const store = world.session();
    const key = freshKey();
    await store.write(key, frame(), 10_000);
    await Promise.all([store.close(), store.close()]);
    await store.close();
    await assert.rejects(store.read([key]));
    await assert.rejects(store.write(key, frame(), 10_000));
    await assert.rejects(store.now());
  });
}

function same(actual: ReadonlyArray<Uint8Array | undefined>, wanted: ReadonlyArray<Uint8Array | undefined>): void {
  assert.equal(actual.length, wanted.length);
  for (const [i, one] of actual.entries()) {
    const other = wanted[i];
    const equal = one && other ? Buffer.from(one).equals(Buffer.from(other)) : sameFrame(one, other);
    assert.ok(equal, `position ${i}: ${one?.byteLength ?? 'no'} bytes, ${other?.byteLength ?? 'none'} wanted`);
  }
}
