import { inspect, isDeepStrictEqual } from 'node:util';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deepFreeze } from '../../src/core/codec/deep-freeze.js';
import { jsonCodec } from '../../src/core/codec/json.codec.js';
import { CacheUsageError } from '../../src/core/errors/cache.error.js';

function roundTrip(value: unknown): unknown {
  const { payload, side } = jsonCodec.encode(value);
  return jsonCodec.decode(Uint8Array.from(payload), Uint8Array.from(side));
}

function refusal(value: unknown): CacheUsageError {
  try {
    jsonCodec.encode(value);
  } catch (error) {
    expect(error).toBeInstanceOf(CacheUsageError);
    expect((error as CacheUsageError).code).toBe('unsupported_value');
    return error as CacheUsageError;
  }
  throw new Error('expected a refusal');
}

/** Strict: tells -0 from 0, undefined from absent, Buffer from Uint8Array. */
function expectSame(actual: unknown, expected: unknown): void {
  // isDeepStrictEqual finds no two invalid dates equal; their pictures are.
  if (!isDeepStrictEqual(actual, expected)) expect(picture(actual)).toBe(picture(expected));
}

function picture(value: unknown): string {
  return inspect(value, { depth: Infinity, maxArrayLength: null, maxStringLength: null });
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
const bytes = (data: unknown): Uint8Array => Buffer.from(typeof data === 'string' ? data : JSON.stringify(data));

function nest(depth: number, wrap: (inner: unknown) => unknown): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = wrap(value);
  return value;
}

const PLAIN: Record<string, unknown> = {
  null: null,
  true: true,
  number: 1.5,
  'largest number': Number.MAX_VALUE,
  'smallest number': 5e-324,
  string: 'grüße 🐦',
  'empty string': '',
  'lone surrogates': ['\ud800', '\udc00x', { '\udfff': 1 }],
  'NUL and controls': { '\0': 'a\0b\u2028\u0007' },
  'empty containers': [[], {}],
  'odd keys': {
    '': 1,
    'a.b': 2,
    '0': 3,
    ' ': 4,
    length: 5,
    constructor: 6,
    prototype: 7,
    hasOwnProperty: 8,
    toJSON: 'x',
    ['then' as string]: 1,
  },
  'strings like markers': [
    '_function_x|()=>1',
    '_date_2020',
    ':base64:AAAA',
    '__proto__',
    '{"t":"d"}',
    '_undefined_',
    '[1n]',
    'u',
  ],
  'data like a side table': { t: 'd', v: 5, s: ['a', { t: 'u' }] },
};

const SPECIAL: Record<string, [value: unknown, rebuild: boolean]> = {
  undefined: [undefined, false],
  NaN: [NaN, false],
  Infinity: [Infinity, false],
  '-Infinity': [-Infinity, false],
  '-0': [-0, false],
  bigint: [12345678901234567890n, false],
  'negative bigint': [[-1n, 0n, -(2n ** 200n)], false],
  'undefined within': [{ a: undefined, b: [undefined, 1, undefined], c: { d: { e: undefined } } }, false],
  'numbers within': [{ a: [-0, 0, NaN], b: { c: -Infinity } }, false],
  date: [new Date(1700000000123), true],
  'extreme dates': [[new Date(8.64e15), new Date(-8.64e15), new Date(0)], true],
  'invalid date': [{ at: new Date(NaN) }, true],
  map: [
    new Map<unknown, unknown>([
      ['a', 1],
      [2, 'b'],
      [null, undefined],
      [NaN, -0],
    ]),
    true,
  ],
  'empty map and set': [[new Map(), new Set()], true],
  set: [new Set<unknown>([1, '1', 1n, undefined, NaN, [1], { a: 1 }]), true],
  'specials as keys': [
    new Map<unknown, unknown>([
      [new Date(5), new Set([new Map([[{ a: 1n }, [undefined]]])])],
      [new Map([[1n, 2n]]), new Date(NaN)],
    ]),
    true,
  ],
  'keys like prototypes': [
    new Map([
      ['__proto__', 1],
      ['constructor', 2],
    ]),
    true,
  ],
  buffer: [Buffer.from([0, 1, 255]), true],
  'empty buffer': [Buffer.alloc(0), true],
  uint8array: [new Uint8Array([1, 2, 3]), true],
  'typed arrays': [
    [
      new Int8Array([-1]),
      new Uint8ClampedArray([300]),
      new Int16Array([-300]),
      new Uint16Array([60000]),
      new Int32Array([-70000]),
      new Uint32Array([4e9]),
      new Float32Array([1.5, NaN]),
      new Float64Array([Math.PI, -0]),
      new BigInt64Array([-1n]),
      new BigUint64Array([2n ** 63n]),
    ],
    true,
  ],
  arraybuffer: [new Uint8Array([1, 2]).buffer, true],
  dataview: [new DataView(new Uint8Array([1, 2, 3]).buffer), true],
  regexp: [[/a\/b"/giu, new RegExp(''), /(?<x>\n)/sy], true],
  url: [{ href: new URL('https://user@exämple.org:8080/a b?q=1#f') }, true],
  error: [new TypeError('boom'), true],
  'error with causes': [
    new Error('outer', { cause: { at: new Date(1), why: new RangeError('inner', { cause: undefined }) } }),
    true,
  ],
  'special under odd keys': [
    { '': 1n, 'a.b': { '\0': 2n }, '0': 3n, constructor: { prototype: 4n }, hasOwnProperty: 5n, length: 6n },
    false,
  ],
};

describe('json codec', () => {
  it.each(Object.entries(PLAIN))('keeps %s in JSON text alone', (_name, value) => {
    const { payload, side, rebuild } = jsonCodec.encode(value);
    expect([text(payload), side.length, rebuild]).toEqual([JSON.stringify(value), 0, false]);
    expectSame(jsonCodec.decode(payload, side), value);
  });

  it.each(Object.entries(SPECIAL))('keeps %s beside the text', (_name, [value, rebuild]) => {
    for (const placed of [value, [value], { a: { b: [0, value] } }]) {
      const encoded = jsonCodec.encode(placed);
      expect(encoded.side.length).toBeGreaterThan(0);
      expect(encoded.rebuild).toBe(rebuild);
      expectSame(jsonCodec.decode(encoded.payload, encoded.side), placed);
    }
  });

  it('keeps what it does not know of a value out of the text', () => {
    const { payload, side } = jsonCodec.encode({ at: new Date(5), list: [1n] });
    expect(text(payload)).toBe('{"at":null,"list":[null]}');
    expect(text(side)).toBe('["at",{"t":"d","v":5},"list",[0,{"t":"i","v":"1"}]]');
  });

  it('round-trips arbitrary values', () => {
    const dates = fc.date({ noInvalidDate: false });
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withNullPrototype: false,
      withUnicodeString: true,
      key: fc.oneof(fc.string(), fc.constantFrom('', 'a.b', '\0', 'constructor', 'toJSON', 'length', '0', '\ud800')),
      values: [
        fc.string({ unit: 'binary' }),
        fc.double(),
        fc.integer(),
        fc.bigInt(),
        fc.boolean(),
        dates,
        fc.constantFrom(undefined, null, -0, NaN, '_date_x', ':base64:AA==', '__proto__'),
        fc.uint8Array().map((b) => Buffer.from(b)),
      ],
      maxDepth: 4,
    });
    const free = anything.filter((value) => !mentionsProto(value));
    fc.assert(
      fc.property(free, (value) => expectSame(roundTrip(value), value)),
      { numRuns: 3000 },
    );
  });

  it('turns holes into undefined', () => {
    const sparse: unknown[] = [1];
    sparse[3] = 2;
    expectSame(roundTrip({ sparse }), { sparse: [1, undefined, undefined, 2] });
  });

  it('gives binary values memory of their own, without what lay around a view', () => {
    const around = Buffer.from('secret-data-secret');
    const revived = roundTrip([
      around.subarray(7, 11),
      new Uint8Array(around.buffer, around.byteOffset + 7, 4),
    ]) as Buffer[];
    for (const view of revived) expect([Buffer.from(view).toString(), view.buffer.byteLength]).toEqual(['data', 4]);
    expect(roundTrip(Buffer.from('x'))).toBeInstanceOf(Buffer);
    expect(Buffer.isBuffer(roundTrip(new Uint8Array(1)))).toBe(false);
  });

  it('revives errors by a fixed list, without the stack', () => {
    class QuotaError extends RangeError {
      override name = 'QuotaError';
    }
    const revived = roundTrip(new QuotaError('full')) as Error;
    expect([revived.constructor, revived.name, revived.message, revived.stack]).toEqual([
      Error,
      'QuotaError',
      'full',
      'QuotaError: full',
    ]);
    expect(Object.keys(revived)).toEqual([]);
    expect(Object.hasOwn(roundTrip(new Error('x')) as Error, 'cause')).toBe(false);
    for (const name of ['Function', 'Buffer', '__proto__', 'constructor', 'process']) {
      const odd = jsonCodec.decode(bytes(null), bytes({ t: 'e', v: [name, 'm'] })) as Error;
      expect([Object.getPrototypeOf(odd), odd.name]).toEqual([Error.prototype, name]);
    }
  });

  it('recognises built-ins of other realms', () => {
    const foreign: unknown = runInNewContext(
      '({ d: new Date(5), m: new Map([[1, 2n]]), e: new TypeError("x"), b: new Uint8Array([1]), r: /x/g, l: [undefined] })',
    );
    expectSame(roundTrip(foreign), {
      d: new Date(5),
      m: new Map([[1, 2n]]),
      e: new TypeError('x'),
      b: new Uint8Array([1]),
      r: /x/g,
      l: [undefined],
    });
  });

  it('makes plain data of instances, null prototypes and boxed primitives', () => {
    class Point {
      constructor(
        public x: number,
        public at: Date,
      ) {}
      get double(): number {
        return this.x * 2;
      }
    }
    expectSame(roundTrip(new Point(1, new Date(2))), { x: 1, at: new Date(2) });
    expectSame(roundTrip(Object.assign(Object.create(null) as object, { a: 1, b: undefined })), { a: 1, b: undefined });
    expectSame(roundTrip([new Number(-0), new String('s'), new Boolean(false), Object(1n)]), [-0, 's', false, 1n]);
    expectSame(roundTrip(new (class extends Array<number> {})(3).fill(1)), [1, 1, 1]);
  });

  it('encodes what an inherited toJSON returns, asked once', () => {
    class Money {
      constructor(private readonly cents: bigint) {}
      toJSON(key: string): unknown {
        return { key, cents: this.cents, again: undefined };
      }
    }
    class Same {
      a = 1;
      toJSON(): this {
        return this;
      }
    }
    class Nothing {
      toJSON(): undefined {}
    }
    expectSame(roundTrip({ price: new Money(5n) }), { price: { key: 'price', cents: 5n, again: undefined } });
    expectSame(roundTrip([new Same(), new Nothing()]), [{ a: 1 }, undefined]);
    expectSame(
      roundTrip(
        new (class {
          toJSON() {
            return new Date(1);
          }
        })(),
      ),
      new Date(1),
    );
    expectSame(
      roundTrip(
        new (class {
          toJSON() {
            return new Money(1n);
          }
        })(),
      ),
      { cents: 1n },
    );
    const looping = { toJSON: undefined as unknown };
    class Loop {
      toJSON(): unknown {
        return { inner: this };
      }
    }
    expectSame(roundTrip(looping), looping);
    expect(refusal(new Loop()).message).toMatch(/^value\.inner is a cycle/);
  });

  it('duplicates shared references', () => {
    const shared = { a: 1n };
    const revived = roundTrip([shared, shared]) as object[];
    expectSame(revived, [{ a: 1n }, { a: 1n }]);
    expect(revived[0]).not.toBe(revived[1]);
  });

  it('takes a snapshot and leaves the value as it is', () => {
    const value = {
      list: [1, { a: undefined }],
      map: new Map([['k', [1]]]),
      bytes: Buffer.from('abc'),
      at: new Date(1),
    };
    const before = structuredClone({ ...value, bytes: [...value.bytes] });
    deepFreeze(value);
    const encoded = jsonCodec.encode(value);
    expectSame({ ...value, bytes: [...value.bytes] }, before);
    value.map.set('k', [2]);
    value.bytes.fill(0);
    value.at.setTime(99);
    expectSame(jsonCodec.decode(encoded.payload, encoded.side), {
      list: [1, { a: undefined }],
      map: new Map([['k', [1]]]),
      bytes: Buffer.from('abc'),
      at: new Date(1),
    });
  });

  it('shares nothing between two readers', () => {
    const { payload, side } = jsonCodec.encode({ b: Buffer.from('abc'), m: new Map([['k', {}]]) });
    const [one, two] = [jsonCodec.decode(payload, side), jsonCodec.decode(payload, side)] as Array<{
      b: Buffer;
      m: Map<string, object>;
    }>;
    one!.b.fill(0);
    one!.m.clear();
    expectSame(two, { b: Buffer.from('abc'), m: new Map([['k', {}]]) });
    expectSame(jsonCodec.decode(payload, side), two);
  });
});

describe('json codec, of a payload within more bytes', () => {
  it.each(['a', 'é', '漢'])('reads text of %s, short and long', (letter) => {
    for (const length of [1, 5000]) {
      const value = { text: letter.repeat(length) };
      const before = Buffer.from([0xff, 0x7b, 0x80]);
      const frame = Buffer.concat([before, jsonCodec.encode(value).payload]);
      expectSame(jsonCodec.decodeFrozen!(frame, before.length), value);
      expectSame(jsonCodec.decodeFrozen!(new Uint8Array(frame), before.length), value);
    }
  });
});

describe('json codec refuses', () => {
  const deep = (build: (leaf: unknown) => unknown) => (leaf: unknown) => refusal(build(leaf)).message;

  it('functions and symbols, with the path', () => {
    const at = deep((leaf) => ({ items: [0, 1, 2, { callback: leaf }] }));
    expect(at(() => 'secret')).toMatch(/^value\.items\[3\]\.callback is a function, which cannot be cached\. \S/);
    expect(at(Symbol('secret'))).toMatch(/^value\.items\[3\]\.callback is a symbol/);
    expect(at(Object(Symbol('secret')))).toMatch(/^value\.items\[3\]\.callback is a symbol/);
    expect(at(function secret() {})).not.toContain('secret');
    expect(refusal(() => 1).message).toMatch(/^value is a function/);
    expect(refusal({ 'a.b': { '': [() => 1] } }).message).toMatch(/^value\["a\.b"\]\[""\]\[0\] is a function/);
    expect(refusal({ ['k'.repeat(5000)]: () => 1 }).message.length).toBeLessThan(200);
  });

  it('an own toJSON that is a function', () => {
    expect(refusal({ a: { toJSON: () => 1 } }).message).toMatch(/^value\.a\.toJSON is a function/);
    expect(refusal(Object.defineProperty({}, 'toJSON', { value: () => 1 })).message).toMatch(
      /^value\.toJSON is a function/,
    );
    expect(refusal([Object.assign([1], { toJSON: () => 1 })]).message).toMatch(/^value\[0\]\.toJSON is a function/);
  });

  it('inside maps, sets and errors', () => {
    expect(
      refusal({
        m: new Map<unknown, unknown>([
          [1, 1],
          [2, { f: () => 1 }],
        ]),
      }).message,
    ).toMatch(/^value\.m<value 1>\.f is a function/);
    expect(refusal(new Map([[() => 1, 1]])).message).toMatch(/^value<key 0> is a function/);
    expect(refusal(new Set([Symbol('x')])).message).toMatch(/^value<item 0> is a symbol/);
    expect(refusal(new Error('x', { cause: { f: () => 1 } })).message).toMatch(/^value\.cause\.f is a function/);
  });

  it('cycles', () => {
    const object: Record<string, unknown> = { a: {} };
    (object.a as Record<string, unknown>).up = object;
    const map = new Map<string, unknown>();
    map.set('self', [map]);
    const error = new Error('x');
    error.cause = error;
    expect(refusal(object).message).toMatch(/^value\.a\.up is a cycle/);
    expect(refusal(map).message).toMatch(/^value<value 0>\[0\] is a cycle/);
    expect(refusal(error).message).toMatch(/^value\.cause is a cycle/);
  });

  it('what is nested deeper than 500 levels', () => {
    const shapes = [
      (v: unknown) => [v],
      (v: unknown) => ({ v }),
      (v: unknown) => new Map([[v, 1]]),
      (v: unknown) => new Error('', { cause: v }),
    ];
    for (const wrap of shapes) {
      expect(() => roundTrip(nest(500, wrap))).not.toThrow();
      expect(refusal(nest(501, wrap)).message).toMatch(/is nested deeper than 500 levels.{0,80}$/);
      expect(refusal(nest(20_000, wrap)).message.length).toBeLessThan(1000);
    }
  });

  it('what keeps its contents to itself', () => {
    const opaque: Record<string, unknown> = {
      Promise: Promise.resolve(1),
      WeakMap: new WeakMap(),
      WeakSet: new WeakSet(),
      WeakRef: new WeakRef({}),
      SharedArrayBuffer: new SharedArrayBuffer(1),
      Headers: new Headers({ a: 'b' }),
      URLSearchParams: new URLSearchParams('a=b'),
      'Map Iterator': new Map().entries(),
      Generator: (function* generate() {
        yield 1;
      })(),
    };
    for (const [name, value] of Object.entries(opaque)) {
      expect(refusal({ x: value }).message).toMatch(new RegExp(`^value\\.x is a ${name}, which cannot be cached\\.`));
    }
  });
});

describe('json codec and __proto__', () => {
  const hostile = (source: string): unknown => JSON.parse(source);

  it('drops own keys on the way in', () => {
    const revived = roundTrip(hostile('{"a":{"__proto__":{"admin":true},"b":1},"d":[{"__proto__":null}]}'));
    expectSame(revived, { a: { b: 1 }, d: [{}] });
    expectSame(roundTrip(hostile('{"__proto__":1}')), {});
  });

  it.each([
    '__proto__',
    '\\u005f_proto__',
    '__\\u0070roto__',
    '__p\\u0072oto__',
    '__pr\\u006Fto__',
    '\\u005F\\u005f\\u0070\\u0072\\u006f\\u0074\\u006F\\u005F_',
  ])('drops the key spelt %s on the way out', (spelling) => {
    const text = bytes(`{"a":[{"${spelling}":{"admin":true},"b":"__proto__"}],"${spelling}":[]}`);
    for (const value of [jsonCodec.decode(text, bytes('')), jsonCodec.decodeFrozen!(text, 0)]) {
      expectSame(value, { a: [{ b: '__proto__' }] });
      expect((value as { a: Array<{ admin?: boolean }> }).a[0]!.admin).toBeUndefined();
    }
    const inside = jsonCodec.decode(bytes(null), bytes(`{"t":"m","v":["k",{"${spelling}":{"admin":true}}]}`));
    expectSame(inside, new Map([['k', {}]]));
  });

  it('drops it at any depth without running out of stack', () => {
    const depth = 200_000;
    const text = bytes(`${'['.repeat(depth)}{"__proto__":{}}${']'.repeat(depth)}`);
    for (const value of [deepFreeze(jsonCodec.decode(text, bytes(''))), jsonCodec.decodeFrozen!(text, 0)]) {
      let inner = value;
      for (let i = 0; i < depth; i++) inner = (inner as unknown[])[0];
      expectSame(inner, {});
      expect(Object.isFrozen(value) && Object.isFrozen(inner)).toBe(true);
    }
  });
});

/** Own `__proto__` keys are dropped, so they have no round trip. */
function mentionsProto(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (value instanceof Map) return [...value].flat().some(mentionsProto);
  if (value instanceof Set) return [...value].some(mentionsProto);
  return Object.hasOwn(value, '__proto__') || Object.values(value).some(mentionsProto);
}
