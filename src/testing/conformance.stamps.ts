import assert from 'node:assert/strict';
import { STAMP_MARK, type CacheStore } from '../stores/contract/cache-store.js';
import { freshKey, type Promised } from './conformance.subject.js';

/** Tokens that say a stamp. */
export function promiseStamps(it: Promised): void {
  const parts = (token: string | undefined): string[] => (token ?? '').split(STAMP_MARK);
  const told = async (store: CacheStore, name: string): Promise<string> => (await store.tokens([name]))[0] ?? '';

  it('stamp replaces a token that says another stamp, and returns it', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const name = freshKey();
    const created = await told(one, name);
    const first = await two.stamp(name, 'v1', 0);
    assert.equal(await told(one, name), first);
    assert.deepEqual(parts(first).slice(1), ['v1']);
    const second = await one.stamp(name, 'v2', 0);
    assert.deepEqual(parts(second).slice(1), ['v2']);
    // Back to a stamp of before is no way back to its token.
    const third = await one.stamp(name, 'v1', 0);
    const own = [created, first, second, third].map((token) => parts(token)[0]);
    assert.equal(new Set(own).size, 4);
  });

  it('stamp leaves a token that says so already, also when many ask at once', async (world) => {
    const sessions = [world.session(), world.session(), world.session()];
    const name = freshKey();
    const asked = Array.from({ length: 30 }, (_, i) => sessions[i % 3]?.stamp(name, 'v1', (i % 2) * 60_000));
    assert.equal(new Set((await Promise.all(asked)).map((token) => parts(token)[0])).size, 1);
  });

  it('a grace names the token of before and when it ends, and no token before that', async (world) => {
    const store = world.session();
    const name = freshKey();
    const created = await told(store, name);
    const before = await store.now();
    const first = parts(await store.stamp(name, 'v1', 60_000));
    const after = await store.now();
    assert.equal(first[2], created);
    assert.ok(Number(first[3]) >= Math.floor(before) + 60_000 && Number(first[3]) <= after + 60_000, first[3]);
    const second = parts(await store.stamp(name, 'v2', 60_000));
    assert.equal(second[2], first[0]);
    assert.equal(second.length, 4);
    assert.deepEqual(parts(await store.stamp(name, 'v3', 0)).slice(1), ['v3']);
  });

  it('of several graces with one stamp the shortest holds', async (world) => {
    const store = world.session();
    const name = freshKey();
    await store.tokens([name]);
    const long = await store.stamp(name, 'v1', 60_000);
    assert.equal(await store.stamp(name, 'v1', 120_000), long);
    const short = parts(await store.stamp(name, 'v1', 30_000));
    assert.deepEqual(short.slice(0, 3), parts(long).slice(0, 3));
    assert.ok(Number(short[3]) < Number(parts(long)[3]));
    assert.deepEqual(parts(await store.stamp(name, 'v1', 0)), parts(long).slice(0, 2));
  });

  it('a token that was not there has no grace', async (world) => {
    assert.deepEqual(parts(await world.session().stamp(freshKey(), 'v1', 60_000)).slice(1), ['v1']);
  });

  it('rotate takes the stamp away', async (world) => {
    const store = world.session();
    const name = freshKey();
    const said = await store.stamp(name, 'v1', 0);
    await store.rotate([name]);
    assert.equal(parts(await told(store, name)).length, 1);
    assert.notEqual(parts(await store.stamp(name, 'v1', 0))[0], parts(said)[0]);
  });
}
