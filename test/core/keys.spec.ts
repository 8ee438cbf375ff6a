import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CacheKey, KeyPart } from '../../src/core/cache.options.js';
import { addressOf, isPlain, localOfStoreKey } from '../../src/core/keys/address.js';
import { encodeKey } from '../../src/core/keys/key-encoding.js';
import { systemClock } from '../../src/core/clock/clock.js';
import { makeStamp } from '../../src/core/keys/stamp.js';
import { Namespace } from '../../src/core/namespace.js';

const hostile = fc.oneof(
  fc.string({
    unit: fc.constantFrom(
      '*',
      '?',
      '[',
      ']',
      '{',
      '}',
      ':',
      '%',
      '_',
      '\\',
      '\r',
      '\n',
      '\0',
      '/',
      '~',
      '#',
      '!',
      '(',
      ')',
      '=',
      ',',
      ' ',
      'é',
      '\ud800',
      '\udfff',
      '😀',
      'a',
      '1',
    ),
    maxLength: 12,
  }),
  fc.string({ unit: 'binary', maxLength: 8 }),
);
const part: fc.Arbitrary<KeyPart> = fc.letrec<{ part: KeyPart }>((tie) => ({
  part: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    hostile,
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.bigInt(),
    fc.boolean(),
    fc.constant(null),
    fc.constant(undefined),
    fc.date({ noInvalidDate: true }),
    fc.array(tie('part'), { maxLength: 3 }),
    fc.dictionary(hostile, tie('part'), { maxKeys: 3 }).map((fields) => ({ ...fields })),
  ),
})).part;
const key: fc.Arbitrary<CacheKey> = fc.oneof(
  hostile.filter((text) => text !== ''),
  fc.array(part, { minLength: 1, maxLength: 3 }),
);

/** A spelling of our own, with types and lengths, to compare the encoding with. */
function spell(value: unknown): string {
  if (typeof value === 'string') return `s${value.length}:${value}`;
  if (typeof value === 'number') return `n${value === 0 ? 0 : value};`;
  if (Array.isArray(value)) return `a${value.length}[${value.map(spell).join('')}]`;
  if (value instanceof Date) return `d${value.getTime()};`;
  if (typeof value === 'object' && value !== null) {
    const names = Object.keys(value).sort();
    return `o${names.length}{${names.map((name) => spell(name) + spell((value as Record<string, unknown>)[name])).join('')}}`;
  }
  return `${typeof value}${String(value)};`;
}

describe('keys', () => {
  it('are readable', () => {
    expect(encodeKey('book:42')).toBe('book:42');
    expect(encodeKey(['payment', 42, { state: 'paid' }])).toBe('/payment/#42/(state=paid)');
  });

  it('differ whenever they differ in any way, and not otherwise', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        expect(encodeKey(a) === encodeKey(b)).toBe(spell(a) === spell(b));
      }),
      { numRuns: 20_000 },
    );
    const alike: CacheKey[] = [
      '1',
      [1],
      ['1'],
      [1n],
      [true],
      ['true'],
      [null],
      ['null'],
      [undefined],
      ['a', 'b'],
      'a:b',
      ['a:b'],
      ['a/b'],
      [['a', 'b']],
      [[]],
      [['']],
      [''],
      [{ a: 1 }],
      [{ a: '1' }],
      [{}],
      ['/a'],
      '/a',
      ['a'],
      [new Date(0)],
      ['1970-01-01T00:00:00.000Z'],
      [{ a: undefined }],
    ];
    expect(new Set(alike.map(encodeKey)).size).toBe(alike.length);
    expect(encodeKey([{ x: 1, y: 2 }])).toBe(encodeKey([{ y: 2, x: 1 }]));
  });

  it('are short, plain ASCII with one hash tag in the store, and found again from there', () => {
    const namespace = new Namespace({ name: 'n' }, makeStamp({}), systemClock, () => new Error('cold'));
    fc.assert(
      fc.property(key, (value) => {
        const { store, local } = addressOf(namespace, value);
        expect(store).toMatch(/^[\x21-\x7e]{1,200}$/);
        expect(store.replace(/[^{}]/g, '')).toBe('{}');
        expect(localOfStoreKey(namespace, store)).toBe(local);
        if (typeof value === 'string' && isPlain(value) && !local.startsWith('\0~')) expect(local).toBe(value);
      }),
      { numRuns: 20_000 },
    );
    const long = addressOf(namespace, 'x'.repeat(5000));
    expect(long.store.length).toBeLessThan(200);
    expect(localOfStoreKey(namespace, long.store)).toBe(long.local);
    expect(addressOf(namespace, `${'x'.repeat(4999)}y`).store).not.toBe(long.store);
  });

  it('refuses what it cannot spell, naming the place and the type, never the value', () => {
    const refused: Array<[unknown, RegExp]> = [
      ['', /key is an empty string/],
      [[], /key is an empty array/],
      [[Number.NaN], /key\[0\] is NaN/],
      [['a', () => 1], /key\[1\] is a function/],
      [['a', { b: Symbol('x') }], /key\[1\]\.b is a symbol/],
      [[new Map()], /key\[0\] is an instance of Map/],
      [[new Date(Number.NaN)], /key\[0\] is an invalid Date/],
      [42, /key is a number/],
      [null, /key is null/],
      // Operators of Sequelize: what they say would be left out, so that all conditions had one key.
      [['a', { age: { [Symbol('gt')]: 5 } }], /key\[1\]\.age is an object with a symbol for a name/],
      ['x'.repeat(20_000), /20000 characters \(at most 16384\)/],
    ];
    for (const [value, message] of refused) expect(() => encodeKey(value as CacheKey)).toThrow(message);
  });

  it('carry a stamp that changes with version, build, stamp and schema', () => {
    const stamps = [{}, { app: '1' }, { build: '1' }, { stamp: '1' }, { schema: 2 }].map(makeStamp);
    expect(new Set(stamps).size).toBe(5);
    expect(makeStamp({})).toBe(makeStamp({ schema: 1 }));
  });
});
