import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  mergeVary,
  select,
  variantKey,
  varyNames,
  type CachePolicy,
  type Fields,
} from '../../src/http-semantics/index.js';
import { NOW, rfc, rfcShared, stored, ttl, ttlShared } from './exchange.js';

const FRESH = { 'cache-control': 'max-age=60' };

/** Whether what one request got is selected for another. */
function isReused(vary: Fields[string], first: Fields, second: Fields, policy: CachePolicy = rfcShared): boolean {
  const made = stored({ request: first, headers: { ...FRESH, vary } }, policy);
  return select([made], second, policy) !== undefined;
}

describe('Vary', () => {
  it.each<[string, string | string[], Fields, Fields, boolean]>([
    ['matches', 'Foo', { foo: '1' }, { foo: '1' }, true],
    ['differs', 'Foo', { foo: '1' }, { foo: '2' }, false],
    ['omitted', 'Foo', { foo: '1' }, {}, false],
    ['added', 'Foo', {}, { foo: '1' }, false],
    ['absent is not empty (Django)', 'Foo', {}, { foo: '' }, false],
    ['not listed', 'Foo', { foo: '1', other: '2' }, { foo: '1', other: '3' }, true],
    ['two, one differs', 'Foo, Bar', { foo: '1', bar: 'a' }, { foo: '2', bar: 'a' }, false],
    ['two, values exchanged', 'Foo, Bar', { foo: '1', bar: '2' }, { foo: '2', bar: '1' }, false],
    ['two, one borrowed (Django)', 'Foo, Bar', { foo: 'ab', bar: 'c' }, { foo: 'a', bar: 'bc' }, false],
    ['three, one omitted by both', 'Foo, Bar, Baz', { foo: '1', baz: '9' }, { foo: '1', baz: '9' }, true],
    ['two lines (varnish, nginx)', ['Foo', 'Bar'], { foo: '1', bar: 'a' }, { foo: '1', bar: 'b' }, false],
    ['padded, other case', ' fOO ,', { foo: '1' }, { foo: '2' }, false],
    ['white space', 'Foo', { foo: '1,2' }, { foo: ' 1, 2 ' }, true],
    ['combined', 'Foo', { foo: '1, 2' }, { foo: ['1', '2'] }, true],
    [
      'languages in another order',
      'Accept-Language',
      { 'accept-language': 'en, de' },
      { 'accept-language': 'DE,en' },
      true,
    ],
    [
      'languages of another weight',
      'Accept-Language',
      { 'accept-language': 'en, de' },
      { 'accept-language': 'en, de;q=0.5' },
      false,
    ],
    ['Cookie (Hono CVE-2026-44457, Django CVE-2026-35192)', 'Cookie', { cookie: 'sid=1' }, { cookie: 'sid=2' }, false],
    ['the same Cookie', 'Cookie', { cookie: 'sid=1' }, { cookie: 'sid=1' }, true],
    ['quoted commas', 'Foo', { foo: '"a, b"' }, { foo: '"a,b"' }, false],
    ['a name that objects inherit', 'constructor', {}, {}, true],
  ])('S5: %s', (_, vary, first, second, expected) => expect(isReused(vary, first, second)).toBe(expected));

  it('S5: Authorization', () => {
    const policy = rfc({ authorization: 'ignore' });
    expect(isReused('Authorization', { authorization: 'A' }, { authorization: 'B' }, policy)).toBe(false);
    expect(isReused('Authorization', { authorization: 'A' }, {}, policy)).toBe(false);
  });

  it('S5: in ttl mode nothing is taken for the same that a handler could tell apart', () => {
    expect(isReused('Foo', { foo: '1,2' }, { foo: '1, 2' }, ttlShared)).toBe(false);
    expect(
      isReused('Accept-Language', { 'accept-language': 'en, de' }, { 'accept-language': 'de, en' }, ttlShared),
    ).toBe(false);
    expect(isReused('Foo', { foo: ' 1' }, { foo: '1 ' }, ttlShared)).toBe(true);
    expect(isReused('Foo', { foo: ['1', '2'] }, { foo: '1, 2' }, ttlShared)).toBe(true);
  });

  it('C6: Accept-Encoding counts by the codings in use', () => {
    const policy = ttl({ codings: ['br', 'gzip'] });
    const reused = (first: string | undefined, second: string | undefined): boolean =>
      isReused(
        'Accept-Encoding',
        first === undefined ? {} : { 'accept-encoding': first },
        second === undefined ? {} : { 'accept-encoding': second },
        policy,
      );
    expect(reused('gzip, deflate, br', 'br;q=1.0, gzip;q=0.8, *;q=0.1')).toBe(true);
    expect(reused('gzip', 'x-gzip, zstd')).toBe(true);
    expect(reused('gzip', 'GZIP;q=0.5')).toBe(true);
    expect(reused(undefined, 'identity')).toBe(true);
    expect(reused('gzip', undefined)).toBe(false);
    expect(reused('gzip', 'gzip;q=0')).toBe(false);
    expect(reused('gzip', 'gzip, br')).toBe(false);
    expect(reused('*', 'br, gzip')).toBe(true);
    expect(reused('gzip', 'gzip, identity;q=0')).toBe(false);
    expect(reused('gzip;q=0.000', '')).toBe(true);
  });

  it('S5: of several that match, the newest', () => {
    const older = stored({ headers: { ...FRESH, 'x-n': '1' } }, rfcShared);
    const newer = stored({ headers: { ...FRESH, 'x-n': '2' }, at: NOW + 1000 }, rfcShared);
    expect(select([older, newer], {}, rfcShared)).toBe(newer);
    expect(select([newer, older], {}, rfcShared)).toBe(newer);
    expect(select([], {}, rfcShared)).toBeUndefined();
  });

  it('S5: other variants stay', () => {
    const one = stored({ request: { foo: '1' }, headers: { ...FRESH, vary: 'Foo' } }, rfcShared);
    const two = stored({ request: { foo: '2' }, headers: { ...FRESH, vary: 'Foo' } }, rfcShared);
    expect(select([one, two], { foo: '1' }, rfcShared)).toBe(one);
    expect(select([one, two], { foo: '2' }, rfcShared)).toBe(two);
  });

  it('S5 K3: variant keys are equal exactly where values are', () => {
    const value = fc.option(fc.string({ unit: fc.constantFrom('a', ',', '"', '[', 'null', '\\'), maxLength: 4 }), {
      nil: undefined,
    });
    const request = fc.record({ a: value, b: value });
    fc.assert(
      fc.property(request, request, (first, second) => {
        const keys = [first, second].map((fields) => variantKey(['a', 'b'], fields, ttlShared));
        expect(keys[0] === keys[1]).toBe(first.a === second.a && first.b === second.b);
        expect(isReused('a, b', first, second, ttlShared)).toBe(keys[0] === keys[1]);
      }),
      { numRuns: 2000 },
    );
  });

  it('S5: names are lower-case, sorted and once; * swallows all', () => {
    expect(varyNames({ vary: ['B, a', 'b'] })).toEqual(['a', 'b']);
    expect(varyNames({})).toEqual([]);
    expect(varyNames({ vary: ['a', 'b, *'] })).toBe('*');
  });

  it('O2: Vary names every keyed header once, in the spelling that came first', () => {
    expect(mergeVary('Accept, origin', ['Origin', 'Accept-Language'])).toBe('Accept, origin, Accept-Language');
    expect(mergeVary(['a', 'b'], [])).toBe('a, b');
    expect(mergeVary('a, *', ['b'])).toBe('*');
    expect(mergeVary(undefined, [])).toBeUndefined();
  });
});
