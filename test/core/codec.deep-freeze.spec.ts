import { describe, expect, it } from 'vitest';
import { deepFreeze } from '../../src/core/codec/deep-freeze.js';
import { jsonCodec } from '../../src/core/codec/json.codec.js';

describe('deepFreeze', () => {
  it('freezes what the codec gives, all the way down', () => {
    const { payload, side } = jsonCodec.encode({ a: [{ b: undefined }, []], n: { m: { k: 1n } } });
    const value = deepFreeze(jsonCodec.decode(payload, side)) as { a: Array<{ b?: unknown }>; n: { m: { k: bigint } } };
    expect(() => value.a.push({})).toThrow(TypeError);
    expect(() => (value.a[0]!.b = 1)).toThrow(TypeError);
    expect(() => Reflect.apply(Array.prototype.push, value.a[1], [1])).toThrow(TypeError);
    expect(() => (value.n.m.k = 2n)).toThrow(TypeError);
  });

  it.each([1, 'x', null, undefined, Symbol.iterator])('returns the primitive %s', (value) => {
    expect(deepFreeze(value)).toBe(value);
  });

  it('returns the same object and leaves instances alone', () => {
    const held = { a: 1 };
    const value = {
      at: new Date(1),
      map: new Map([['k', held]]),
      bytes: Buffer.from('a'),
      own: new (class {
        x = 1;
      })(),
    };
    expect(deepFreeze(value)).toBe(value);
    expect(Object.values(value).map((inner) => Object.isFrozen(inner))).toEqual([false, false, false, false]);
    expect(Object.isFrozen(held)).toBe(false);
  });

  it('looks below what was frozen already, and ends on cycles', () => {
    const inner = { a: [1] };
    const cycle: Record<string, unknown> = {
      inner: Object.freeze({ inner }),
      bare: Object.assign(Object.create(null) as object, { x: [] }),
    };
    cycle.self = [cycle, Object.freeze([cycle])];
    deepFreeze(cycle);
    expect([inner, inner.a, cycle.self, cycle.bare].every(Object.isFrozen)).toBe(true);
  });

  it('does not depend on the stack', () => {
    const innermost = {};
    let value: object = innermost;
    for (let i = 0; i < 200_000; i++) value = i % 2 === 0 ? [value] : { value };
    deepFreeze(value);
    expect(Object.isFrozen(innermost)).toBe(true);
  });
});
