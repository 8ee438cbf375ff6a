import assert from 'node:assert/strict';
import { frame, frameFreshUntil, freshKey, request, type Promised } from './conformance.subject.js';

/** One computation per cold key: acquire, renew, fill, release. */
export function promiseLeases(it: Promised): void {
  it('acquire returns the value that is there, without a lease', async (world) => {
    const store = world.session();
    const key = freshKey();
    const value = frame();
    const asked = request();
    await store.write(key, value, 10_000);
    const got = await store.acquire(key, asked);
    assert.ok(got.outcome === 'value' && Buffer.from(got.frame).equals(Buffer.from(value)));
    assert.equal(await store.fill(key, asked.token, frame(), 10_000), false);
  });

  it('acquire grants one lease and tells the others how long it is held', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const key = freshKey();
    assert.equal((await one.acquire(key, request({ leaseMs: 5000 }))).outcome, 'lease');
    const held = await two.acquire(key, request());
    assert.ok(held.outcome === 'held' && held.remainingMs > 0 && held.remainingMs <= 5000);
  });

  it('acquire grants one lease to many that ask at once', async (world) => {
    const sessions = [world.session(), world.session(), world.session()];
    const key = freshKey();
    const asked = Array.from({ length: 60 }, (_, i) => sessions[i % 3]?.acquire(key, request()));
    const outcomes = (await Promise.all(asked)).map((got) => got?.outcome);
    assert.equal(outcomes.filter((outcome) => outcome === 'lease').length, 1);
    assert.equal(outcomes.filter((outcome) => outcome === 'held').length, 59);
  });

  it('acquire repeated with the same token is granted again', async (world) => {
    const store = world.session();
    const key = freshKey();
    const asked = request();
    assert.equal((await store.acquire(key, asked)).outcome, 'lease');
    assert.equal((await store.acquire(key, asked)).outcome, 'lease');
    assert.equal(await store.fill(key, asked.token, frame(), 10_000), true);
  });

  it('acquire passes over a frame that was seen, but not over a newer one', async (world) => {
    const store = world.session();
    const key = freshKey();
    const [seen, newer] = [frame('same payload'), frame('same payload')];
    await store.write(key, seen, 10_000);
    const asked = request({ seen });
    assert.equal((await store.acquire(key, asked)).outcome, 'lease');
    assert.equal((await store.read([key])).length, 1);
    await store.write(key, newer, 10_000);
    const got = await store.acquire(key, request({ seen }));
    assert.ok(got.outcome === 'value' && Buffer.from(got.frame).equals(Buffer.from(newer)));
  });

  it('acquire gives a frame that is not fresh any more beside the lease, and beside the word that it is held', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const key = freshKey();
    const now = await one.now();
    const [old, renewed] = [frameFreshUntil(now - 1), frameFreshUntil(now + 10_000)];
    await one.write(key, old, 10_000);
    const asked = request();
    const first = await one.acquire(key, asked);
    // Or it says that it cannot tell.
    const isTold = first.outcome === 'lease';
    assert.deepEqual(toBuffer(first.outcome === 'value' ? first.frame : first.stale), toBuffer(old));
    if (!isTold) assert.equal((await one.acquire(key, { ...asked, seen: old })).outcome, 'lease');
    const second = await two.acquire(key, request());
    assert.equal(second.outcome, isTold ? 'held' : 'value');
    assert.deepEqual(toBuffer(second.outcome === 'value' ? second.frame : second.stale), toBuffer(old));
    const again = await two.acquire(key, request({ seen: old }));
    assert.ok(again.outcome === 'held' && again.stale === undefined);
    assert.equal(await one.fill(key, asked.token, renewed, 10_000), true);
    const got = await two.acquire(key, request({ seen: old }));
    assert.ok(got.outcome === 'value');
    assert.deepEqual(toBuffer(got.frame), toBuffer(renewed));
  });

  it('acquire takes the lease from a holder with another fence', async (world) => {
    const store = world.session();
    const key = freshKey();
    const [old, current] = [request({ fence: 'fence-1' }), request({ fence: 'fence-2' })];
    assert.equal((await store.acquire(key, old)).outcome, 'lease');
    assert.equal((await store.acquire(key, current)).outcome, 'lease');
    assert.equal(await store.fill(key, old.token, frame(), 10_000), false);
    assert.equal(await store.renew(key, old.token, 10_000), false);
    assert.equal(await store.fill(key, current.token, frame(), 10_000), true);
  });

  it('acquire with steal takes the lease from anybody and ignores the frame', async (world) => {
    const store = world.session();
    const key = freshKey();
    const [holder, thief] = [request(), request({ steal: true })];
    await store.acquire(key, holder);
    assert.equal((await store.acquire(key, thief)).outcome, 'lease');
    assert.equal(await store.fill(key, holder.token, frame(), 10_000), false);
    assert.equal(await store.fill(key, thief.token, frame(), 10_000), true);
    assert.equal((await store.acquire(key, request({ steal: true }))).outcome, 'lease');
    assert.notEqual((await store.read([key]))[0], undefined);
  });

  it('a lease ends by itself, and what its holder loaded is then refused', async (world) => {
    const store = world.session();
    const key = freshKey();
    const dead = request({ leaseMs: 150 });
    await store.acquire(key, dead);
    await world.pass(250);
    assert.equal(await store.renew(key, dead.token, 10_000), false);
    assert.equal(await store.fill(key, dead.token, frame(), 10_000), false);
    assert.equal((await store.acquire(key, request())).outcome, 'lease');
  });

  it('renew prolongs a lease for its holder only', async (world) => {
    const store = world.session();
    const key = freshKey();
    const holder = request({ leaseMs: 150 });
    await store.acquire(key, holder);
    assert.equal(await store.renew(key, 'somebody-else', 60_000), false);
    assert.equal(await store.renew(key, holder.token, 60_000), true);
    await world.pass(250);
    const held = await store.acquire(key, request());
    assert.ok(held.outcome === 'held' && held.remainingMs > 1000);
    assert.equal(await store.renew(freshKey(), holder.token, 60_000), false);
  });

  it('fill stores once and gives the lease up', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const key = freshKey();
    const holder = request();
    const value = frame();
    await one.acquire(key, holder);
    assert.equal(await one.fill(key, holder.token, value, 10_000), true);
    assert.equal(await one.fill(key, holder.token, frame(), 10_000), false);
    const got = await two.acquire(key, request());
    assert.ok(got.outcome === 'value' && Buffer.from(got.frame).equals(Buffer.from(value)));
    assert.equal((await two.acquire(key, request({ seen: value }))).outcome, 'lease');
  });

  it('fill honours its ttl', async (world) => {
    const store = world.session();
    const key = freshKey();
    const holder = request();
    await store.acquire(key, holder);
    await store.fill(key, holder.token, frame(), 150);
    await world.pass(250);
    assert.deepEqual(await store.read([key]), [undefined]);
  });

  it('fill without a lease stores nothing', async (world) => {
    const store = world.session();
    const key = freshKey();
    assert.equal(await store.fill(key, 'nobody', frame(), 10_000), false);
    await store.acquire(key, request());
    assert.equal(await store.fill(key, 'nobody', frame(), 10_000), false);
    assert.deepEqual(await store.read([key]), [undefined]);
  });

  it('write and remove destroy the lease, so what was loaded before them is never stored', async (world) => {
    const [loader, writer] = [world.session(), world.session()];
    const [written, removed] = [freshKey(), freshKey()];
    const [a, b] = [request(), request()];
    const truth = frame('truth');
    await loader.acquire(written, a);
    await loader.acquire(removed, b);
    await writer.write(written, truth, 10_000);
    assert.equal(await writer.remove([removed]), 0);
    assert.equal(await loader.fill(written, a.token, frame('old'), 10_000), false);
    assert.equal(await loader.fill(removed, b.token, frame('old'), 10_000), false);
    const [now, gone] = await loader.read([written, removed]);
    assert.ok(now && Buffer.from(now).equals(Buffer.from(truth)));
    assert.equal(gone, undefined);
    assert.equal((await writer.acquire(removed, request())).outcome, 'lease');
  });

  it('a fill after all data was lost is refused', async (world) => {
    const store = world.session();
    const key = freshKey();
    const holder = request();
    await store.acquire(key, holder);
    if (!(await world.flush())) return;
    assert.equal(await store.fill(key, holder.token, frame(), 10_000), false);
    assert.deepEqual(await store.read([key]), [undefined]);
  });

  it('release frees the key at once, for its holder only', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const key = freshKey();
    const holder = request();
    await one.acquire(key, holder);
    await two.release(key, 'somebody-else');
    assert.equal((await two.acquire(key, request())).outcome, 'held');
    await one.release(key, holder.token);
    await one.release(key, holder.token);
    assert.equal((await two.acquire(key, request())).outcome, 'lease');
  });
}

/** Of a driver that has its own kind of bytes. */
function toBuffer(bytes: Uint8Array | undefined): Buffer | undefined {
  return bytes && Buffer.from(bytes);
}
