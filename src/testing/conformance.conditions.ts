import assert from 'node:assert/strict';
import { frame, freshKey, request, type Promised } from './conformance.subject.js';

/** Conditional writes. */
export function promiseConditions(it: Promised): void {
  it('write with absent stores only where there is no frame', async (world) => {
    const store = world.session();
    const key = freshKey();
    const first = frame();
    assert.deepEqual(await store.write(key, first, 10_000, { absent: true }), { written: true });
    const refused = await store.write(key, frame(), 10_000, { absent: true });
    assert.ok(!refused.written && refused.frame && Buffer.from(refused.frame).equals(Buffer.from(first)));
    await store.remove([key]);
    assert.deepEqual(await store.write(key, frame(), 10_000, { absent: true }), { written: true });
  });

  it('write with absent is granted once to many that try at once', async (world) => {
    const sessions = [world.session(), world.session()];
    const key = freshKey();
    const tries = Array.from({ length: 30 }, (_, i) => sessions[i % 2]?.write(key, frame(), 10_000, { absent: true }));
    assert.equal((await Promise.all(tries)).filter((outcome) => outcome?.written).length, 1);
  });

  it('write with seen stores only over that very version', async (world) => {
    const store = world.session();
    const key = freshKey();
    const [first, second] = [frame('same payload'), frame('same payload')];
    const empty = await store.write(key, second, 10_000, { seen: first });
    assert.equal(empty.written, false);
    assert.ok(!empty.written && empty.frame === undefined);
    await store.write(key, first, 10_000);
    assert.deepEqual(await store.write(key, second, 10_000, { seen: first }), { written: true });
    const refused = await store.write(key, frame(), 10_000, { seen: first });
    assert.ok(!refused.written && refused.frame && Buffer.from(refused.frame).equals(Buffer.from(second)));
  });

  it('write with seen and absent stores where either holds', async (world) => {
    const store = world.session();
    const key = freshKey();
    const [first, second] = [frame(), frame()];
    assert.deepEqual(await store.write(key, first, 10_000, { seen: second, absent: true }), { written: true });
    assert.equal((await store.write(key, frame(), 10_000, { seen: second, absent: true })).written, false);
    assert.deepEqual(await store.write(key, second, 10_000, { seen: first, absent: true }), { written: true });
  });

  it('a refused write changes nothing, not even the lease', async (world) => {
    const store = world.session();
    const key = freshKey();
    const value = frame();
    await store.write(key, value, 10_000);
    const holder = request({ seen: value });
    await store.acquire(key, holder);
    assert.equal((await store.write(key, frame(), 10_000, { absent: true })).written, false);
    assert.equal(await store.fill(key, holder.token, frame(), 10_000), true);
  });
}
