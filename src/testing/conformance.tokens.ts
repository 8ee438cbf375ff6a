import assert from 'node:assert/strict';
import { SOFT_MARK } from '../stores/contract/cache-store.js';
import { freshKey, type Promised } from './conformance.subject.js';

/** Tokens of tags and namespaces. */
export function promiseTokens(it: Promised): void {
  it('creates a missing token once, also when many ask at once', async (world) => {
    const sessions = [world.session(), world.session(), world.session()];
    const name = freshKey();
    const asked = Array.from({ length: 30 }, (_, i) => sessions[i % 3]?.tokens([name]));
    const tokens = new Set((await Promise.all(asked)).map((got) => got?.[0]));
    assert.equal(tokens.size, 1);
    assert.match([...tokens][0] ?? '', /^\S{16,}$/);
  });

  it('returns tokens in the order asked, present and missing ones', async (world) => {
    const store = world.session();
    const [a, b, c] = [freshKey(), freshKey(), freshKey()];
    const [known] = await store.tokens([b]);
    const [first, second, third] = await store.tokens([a, b, c]);
    assert.equal(second, known);
    assert.equal(new Set([first, second, third]).size, 3);
    assert.deepEqual(await store.tokens([c, a]), [third, first]);
    assert.deepEqual(await store.tokens([]), []);
  });

  it('rotate replaces tokens by new ones and returns them', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const [a, b] = [freshKey(), freshKey()];
    const before = await one.tokens([a]);
    const after = await two.rotate([a, b]);
    assert.notEqual(after[0], before[0]);
    assert.deepEqual(await one.tokens([a, b]), after);
    assert.deepEqual(await one.rotate([]), []);
  });

  it('a soft rotation keeps what is in front of the mark, and a hard one does not', async (world) => {
    const [one, two] = [world.session(), world.session()];
    const [name, missing] = [freshKey(), freshKey()];
    const hard = (token: string | undefined): string | undefined => token?.split(SOFT_MARK)[0];
    const [before] = await one.tokens([name]);
    const [first, created] = await two.rotate([name, missing], true);
    const [second] = await one.rotate([name], true);
    assert.equal(hard(first), hard(before));
    assert.equal(hard(second), hard(before));
    assert.equal(new Set([before, first, second]).size, 3);
    assert.deepEqual(await two.tokens([name, missing]), [second, created]);
    const [last] = await one.rotate([name]);
    assert.notEqual(hard(last), hard(before));
  });

  it('never issues a token twice', async (world) => {
    const store = world.session();
    const name = freshKey();
    const seen = new Set<string>();
    for (let i = 0; i < 50; i++) for (const token of await store.rotate([name])) seen.add(token);
    assert.equal(seen.size, 50);
  });

  it('a token that was lost comes back as another one', async (world) => {
    const store = world.session();
    const name = freshKey();
    const [before] = await store.tokens([name]);
    if (!(await world.flush())) return;
    const [after] = await store.tokens([name]);
    assert.notEqual(after, before);
  });

  it('names of tokens and keys of entries do not meet', async (world) => {
    const store = world.session();
    const name = freshKey();
    const [token] = await store.tokens([name]);
    assert.deepEqual(await store.read([name]), [undefined]);
    assert.equal(await store.remove([name]), 0);
    assert.deepEqual(await store.tokens([name]), [token]);
  });
}
