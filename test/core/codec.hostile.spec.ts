import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { jsonCodec } from '../../src/core/codec/json.codec.js';
import { TieredCacheError } from '../../src/core/errors/cache.error.js';

const bytes = (data: unknown): Uint8Array => Buffer.from(typeof data === 'string' ? data : JSON.stringify(data));

function prototypes(): unknown[] {
  const guarded = [
    Object,
    Array,
    Map,
    Set,
    Date,
    Error,
    TypeError,
    RegExp,
    URL,
    Function,
    Uint8Array,
    Buffer,
    String,
    Number,
    BigInt,
  ];
  return guarded.flatMap(({ prototype }) =>
    Reflect.ownKeys(prototype).map((key) => [key, Reflect.getOwnPropertyDescriptor(prototype, key)]),
  );
}

/** Small and seeded, so that a failure can be repeated. */
function randomSource(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    const mixed = Math.imul(state ^ (state >>> 12), 0x297a2d39);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % below;
  };
}

const D = { t: 'd', v: 5 };

/** Text and side table that no encoder wrote. */
const MALFORMED: Record<string, [payload: unknown, side: unknown]> = {
  'empty text': ['', ''],
  'no JSON': ['{', ''],
  'side without JSON': ['{}', '['],
  'inherited place': [{}, ['constructor', D]],
  'path through a constructor': [{}, ['constructor', ['prototype', ['polluted', D]]]],
  'path through __proto__': [{ a: {} }, ['__proto__', ['polluted', D]]],
  'own __proto__': ['{"__proto__":{"polluted":1}}', ['__proto__', ['polluted', D]]],
  'toString of a string': [{ a: 'x' }, ['a', ['length', D]]],
  'length of an array': [{ a: [] }, ['a', ['length', { t: 'd', v: 4294967295 }]]],
  'push of an array': [[], ['push', D]],
  'index past the end': [[1], [1, D]],
  'huge index': [[1], [4294967294, D]],
  'negative index': [[1], [-1, D]],
  'fractional index': [
    [1, 2],
    [0.5, D],
  ],
  'index as text': [[1], ['0', D]],
  'number as a key': [{ 0: 1 }, [0, D]],
  'object as a key': [{ a: 1 }, [{ toString: 'a' }, D]],
  'place inside a special': [{ a: null }, ['a', { t: 'b', v: ['Buffer', 'AAAA'] }, 'a', ['0', D]]],
  'place inside a revived map': [{ a: null }, ['a', { t: 'm', v: [1, 2] }, 'a', ['size', D]]],
  'branch under null': [{ a: null }, ['a', ['b', D]]],
  'key without an entry': [{ a: null }, ['a']],
  'string for an entry': [{ a: null }, ['a', 'd']],
  'null for a table': [{}, null],
  'unknown tag': [null, { t: 'constructor', v: [] }],
  'tag of another type': [null, { t: ['d'], v: 5 }],
  'date of a string': [null, { t: 'd', v: '2020-01-01' }],
  'date of an object': [null, { t: 'd', v: {} }],
  'fraction for an integer': [null, { t: 'i', v: '1.5' }],
  'integer with two signs': [null, { t: 'i', v: '--1' }],
  'map with half an entry': [null, { t: 'm', v: [1] }],
  'map of an object': [null, { t: 'm', v: { length: 4294967296 } }],
  'set of a string': [null, { t: 's', v: 'abc' }],
  'binary of a length': [null, { t: 'b', v: ['Uint8Array', 4294967296] }],
  'binary of an unknown kind': [null, { t: 'b', v: ['Function', 'AAAA'] }],
  'binary of an inherited kind': [null, { t: 'b', v: ['constructor', 'AAAA'] }],
  'binary of an odd length': [null, { t: 'b', v: ['Float64Array', 'AAAA'] }],
  'malformed pattern': [null, { t: 'r', v: ['(', ''] }],
  'unknown flags': [null, { t: 'r', v: ['a', 'zz'] }],
  'malformed URL': [null, { t: 'l', v: 'not a url' }],
  'error without a message': [null, { t: 'e', v: ['Error'] }],
  'error with an object for a name': [null, { t: 'e', v: [{}, 'm'] }],
};

describe('json codec, given bytes it did not write', () => {
  it.each(Object.entries(MALFORMED))('refuses %s and quotes nothing', (_name, [payload, side]) => {
    const before = prototypes();
    let thrown: unknown;
    try {
      jsonCodec.decode(bytes(payload), bytes(side));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(TieredCacheError);
    expect([(thrown as TieredCacheError).code, Object.hasOwn(thrown as object, 'cause')]).toEqual([
      'malformed_value',
      false,
    ]);
    expect(prototypes()).toEqual(before);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('writes to own places that merely sound dangerous', () => {
    const value = jsonCodec.decode(
      bytes({ constructor: { prototype: null } }),
      bytes(['constructor', ['prototype', { t: 'u' }]]),
    );
    expect(isDeepStrictEqual(value, { constructor: { prototype: undefined } })).toBe(true);
  });

  it('neither hangs nor overflows on deep or long tables', () => {
    const depth = 100_000;
    const deepBranch = '[0,'.repeat(depth) + '{"t":"u"}' + ']'.repeat(depth);
    const deepMaps = '{"t":"m","v":[1,null],"s":[1,'.repeat(depth) + '{"t":"u"}' + ']}'.repeat(depth);
    expect(() => jsonCodec.decode(bytes('['.repeat(depth) + ']'.repeat(depth)), bytes(deepBranch))).toThrow(
      TieredCacheError,
    );
    expect(() => jsonCodec.decode(bytes(null), bytes(deepMaps))).toThrow(TieredCacheError);
    expect(typeof jsonCodec.decode(bytes(null), bytes({ t: 'i', v: 'f'.repeat(2_000_000) }))).toBe('bigint');
    const long = Array.from({ length: 200_000 }, (_, i) => (i % 2 === 0 ? 0 : D));
    expect(jsonCodec.decode(bytes([null]), bytes(long))).toEqual([new Date(5)]);
  });

  it('survives 200,000 mutations of honest entries', () => {
    const seeds = [
      { a: [1, 'x', null, { b: true }], constructor: { prototype: 1 } },
      { at: new Date(5), list: [1n, undefined, -0, NaN], deep: { er: [{ x: Infinity }] } },
      new Map<unknown, unknown>([
        [{ k: new Set([1n]) }, Buffer.from('bytes')],
        ['__proto__', new Float64Array(2)],
      ]),
      [
        /x+/gi,
        new URL('http://a.b/c'),
        new TypeError('m', { cause: new Error('n') }),
        new DataView(new ArrayBuffer(4)),
        new Date(NaN),
      ],
      undefined,
    ].map((value) => jsonCodec.encode(value));
    const tokens = [
      '__proto__',
      '\\u005f_proto__',
      'constructor',
      'prototype',
      'length',
      '"',
      '[',
      ']',
      '{',
      '}',
      ',',
      ':',
      '-1',
      '4294967295',
      '1e999',
      'null',
      '"t":"m"',
      '"t":"b"',
      '"s":',
      '"v":',
      '\\',
      '\u{1f426}',
      '\0',
      'Float64Array',
    ].map((token) => Buffer.from(token));
    const random = randomSource(20260101);
    const mutate = (source: Uint8Array): Buffer => {
      let target = Buffer.from(source);
      for (let left = random(4); left > 0; left--) {
        const at = random(target.length + 1);
        const kind = random(5);
        if (kind === 0 && target.length > 0) target[at % target.length] = random(256);
        else if (kind === 1) target = Buffer.concat([target.subarray(0, at), target.subarray(at + 1 + random(4))]);
        else if (kind === 2)
          target = Buffer.concat([target.subarray(0, at), tokens[random(tokens.length)]!, target.subarray(at)]);
        else if (kind === 3)
          target = Buffer.concat([target.subarray(0, at), target.subarray(random(target.length + 1))]);
        else if (target.length > 0) target[at % target.length]! ^= 1 << random(8);
      }
      return target;
    };
    const before = prototypes();
    let returned = 0;
    let refused = 0;
    for (let i = 0; i < 200_000; i++) {
      const payload = mutate(seeds[random(seeds.length)]!.payload);
      // Mostly the matching pair, so that the side table is reached; sometimes a foreign one.
      const side = mutate(seeds[random(seeds.length)]!.side);
      const own = seeds[i % seeds.length]!;
      try {
        if (i % 3 === 0) jsonCodec.decode(payload, side);
        else if (i % 3 === 1) jsonCodec.decode(own.payload, mutate(own.side));
        else jsonCodec.decode(mutate(own.payload), own.side);
        returned++;
      } catch (error) {
        if (!(error instanceof TieredCacheError)) throw error;
        refused++;
      }
    }
    expect(returned).toBeGreaterThan(20_000);
    expect(refused).toBeGreaterThan(20_000);
    expect(prototypes()).toEqual(before);
    expect(Reflect.ownKeys({})).toEqual([]);
  });
});
