import assert from 'node:assert/strict';
import { sameFrame } from '../stores/contract/cache-store.js';
import { frame, freshKey, request, type Promised } from './conformance.subject.js';

/** What one session hears of another's doings. */
export function promiseBus(it: Promised): void {
  it('reports writes, fills and removals of another session', async (world) => {
    const { heard } = await world.listening();
    const writer = world.session();
    const [written, filled] = [freshKey(), freshKey()];
    const holder = request();
    await writer.write(written, frame(), 10_000);
    await heard.until('changed', written);
    await writer.acquire(filled, holder);
    await writer.fill(filled, holder.token, frame(), 10_000);
    await heard.until('changed', filled);
    heard.clear();
    await writer.remove([written, filled]);
    await heard.until('changed', written);
    await heard.until('changed', filled);
  });

  it('reports an update, if with a frame, then with the one that is there', async (world) => {
    const { store, heard } = await world.listening();
    const key = freshKey();
    await world.session().write(key, frame(), 10_000);
    await heard.until('changed', key);
    const sent = heard.frames.get(key);
    const [stored] = await store.read([key]);
    if (sent && !(stored && sameFrame(sent, stored) && sent.length === stored.length))
      throw new Error('the frame that came with the report is another one');
  });

  it('reports released leases, so that those who wait can ask again', async (world) => {
    const { heard } = await world.listening();
    const holder = world.session();
    const key = freshKey();
    const asked = request();
    await holder.acquire(key, asked);
    await holder.release(key, asked.token);
    await heard.until('released', key);
  });

  it('reports the removal of what is not there, with and without a lease: others may remember it, or load it', async (world) => {
    const { heard } = await world.listening();
    const other = world.session();
    const [leased, missing] = [freshKey(), freshKey()];
    await other.acquire(leased, request());
    assert.equal(await other.remove([leased, missing]), 0);
    await heard.until('changed', leased);
    await heard.until('changed', missing);
    assert.deepEqual(await other.read([leased, missing]), [undefined, undefined]);
  });

  it('reports rotated tokens', async (world) => {
    const { heard } = await world.listening();
    const other = world.session();
    const name = freshKey();
    await other.tokens([name]);
    heard.clear();
    await other.rotate([name]);
    await heard.until('rotated', name);
    heard.clear();
    await other.stamp(name, 'v1', 0);
    await heard.until('rotated', name);
  });

  it('reports that everything was lost', async (world) => {
    const { store, heard } = await world.listening();
    await store.write(freshKey(), frame(), 10_000);
    if (await world.flush()) await heard.until('flushed');
  });

  it('reports to every session, and to none that is closed', async (world) => {
    const [one, two, closed] = [await world.listening(), await world.listening(), await world.listening()];
    await closed.store.close();
    closed.heard.clear();
    const key = freshKey();
    await world.session().write(key, frame(), 10_000);
    await one.heard.until('changed', key);
    await two.heard.until('changed', key);
    if (closed.heard.count('changed') > 0) throw new Error('a closed session was told of a change');
  });
}
