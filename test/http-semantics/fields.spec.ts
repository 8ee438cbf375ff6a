import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  appendCacheStatus,
  cacheGroups,
  fieldLines,
  fieldText,
  formatCacheGroups,
  formatCacheStatus,
  formatHttpDate,
  groupInvalidations,
  hopByHop,
  makeEntityTag,
  parseHttpDate,
  strongMatch,
  weakened,
  weakMatch,
} from '../../src/http-semantics/index.js';
import { parseDictionary, parseStructuredList } from '../../src/http-semantics/fields/structured-field.js';
import { NOW } from './exchange.js';

describe('HTTP-date', () => {
  const at = Date.UTC(2050, 7, 18, 2, 1, 18);
  it.each([
    'Thu, 18 Aug 2050 02:01:18 GMT',
    'THU, 18 AUG 2050 02:01:18 gmt',
    'Thursday, 18-Aug-50 02:01:18 GMT',
    'Thu Aug 18 02:01:18 2050',
    ' Thu, 18 Aug 2050 02:01:18 GMT ',
  ])('F1: reads %j', (text) => expect(parseHttpDate(text, NOW)).toBe(at));

  it('F1: an asctime day below ten has a space; a two-digit year is at most 50 years ahead', () => {
    expect(parseHttpDate('Sun Nov  6 08:49:37 1994', NOW)).toBe(Date.UTC(1994, 10, 6, 8, 49, 37));
    expect(parseHttpDate('Sunday, 06-Nov-94 08:49:37 GMT', NOW)).toBe(Date.UTC(1994, 10, 6, 8, 49, 37));
    expect(parseHttpDate('Sunday, 06-Nov-76 08:49:37 GMT', NOW)).toBe(Date.UTC(2076, 10, 6, 8, 49, 37));
    expect(parseHttpDate('Sunday, 06-Dec-77 08:49:37 GMT', NOW)).toBe(Date.UTC(1977, 11, 6, 8, 49, 37));
    expect(parseHttpDate('Sunday, 06-Nov-05 08:49:37 GMT', Date.UTC(2098, 0))).toBe(Date.UTC(2105, 10, 6, 8, 49, 37));
  });

  it.each([
    '0',
    '-1',
    '',
    'foo',
    'Thu, 18 Aug 2050 02:01:18 UTC',
    'Thu, 18 Aug 2050 02:01:18 +0100',
    'Thu, 18 Aug 2050 02:01:18',
    'Thu, 18 Aug 50 02:01:18 GMT',
    'Thu 18 Aug 2050 02:01:18 GMT',
    'Thu, 18  Aug  2050 02:01:18 GMT',
    'Thu, 18-Aug-2050 02:01:18 GMT',
    'Thu, 18 Aug 2050 02.01.18 GMT',
    'Thu, 18 Aug 2050 2:01:18 GMT',
    'Thu, 31 Feb 2050 02:01:18 GMT',
    'Thu, 18 Aug 2050 24:01:18 GMT',
    '2050-08-18T02:01:18Z',
    'Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:18 GMT',
  ])('F1: refuses %j (nginx, ATS and http-cache-semantics guess)', (text) =>
    expect(parseHttpDate(text, NOW)).toBeUndefined(),
  );

  it('F1: what it writes it reads', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799 }), (seconds) => {
        expect(parseHttpDate(formatHttpDate(seconds * 1000), NOW)).toBe(seconds * 1000);
      }),
    );
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseHttpDate(text, NOW)));
  });
});

describe('fields', () => {
  it('S5: a name that objects inherit is no field', () => {
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      expect(fieldText({}, name)).toBeUndefined();
      expect(fieldLines({}, name)).toEqual([]);
    }
  });

  it('S7: hop-by-hop fields and those that Connection names', () => {
    const drop = hopByHop({ connection: ['A, b', 'Close'] });
    expect(['a', 'b', 'c', 'te', 'keep-alive', 'etag'].filter(drop)).toEqual(['a', 'b', 'te', 'keep-alive']);
  });
});

describe('Structured Fields', () => {
  it.each<[string, unknown[][] | undefined]>([
    ['', []],
    ['a', [['a', 'boolean', true]]],
    [
      'a=?0, b',
      [
        ['a', 'boolean', false],
        ['b', 'boolean', true],
      ],
    ],
    ['max-age=10', [['max-age', 'integer', 10]]],
    ['max-age=10, max-age=20', [['max-age', 'integer', 20]]],
    ['a="x, y";q=1;r', [['a', 'string', 'x, y']]],
    [String.raw`a="\"\\"`, [['a', 'string', '"\\']]],
    ['a=t/:k', [['a', 'token', 't/:k']]],
    ['a=1.5', [['a', 'decimal', 1.5]]],
    ['a=:aGk=:', [['a', 'bytes', 'aGk=']]],
    ['a=@123', [['a', 'date', 123]]],
    ['a=%"f%c3%bc"', [['a', 'display', 'f%c3%bc']]],
    ['A=1', undefined],
    ['max-age =10', undefined],
    ['max-age= 10', undefined],
    ['a, &&&&', undefined],
    ['a,', undefined],
    ['a b', undefined],
    ['a="x', undefined],
    ['a=1.', undefined],
    ['a=1.2345', undefined],
    ['a=1234567890123456', undefined],
    ['a="ü"', undefined],
  ])('F1: dictionary %j', (text, expected) => {
    const found = parseDictionary([text]);
    expect(found && [...found].map(([key, { type, value }]) => [key, type, value])).toEqual(expected);
  });

  it('F1: never throws', () => {
    const unit = fc.constantFrom(...'abAZ01 ,;="\\()?:@%*-.\t&ü');
    fc.assert(
      fc.property(fc.array(fc.string({ unit }), { maxLength: 3 }), (lines) => {
        parseDictionary(lines);
        parseStructuredList(lines);
      }),
      { numRuns: 3000 },
    );
  });

  it('I4: groups are lists of Strings, over several lines; anything else is no list at all', () => {
    expect(cacheGroups({ 'cache-groups': ['"a", "b c";x=1', '"a"'] })).toEqual(['a', 'b c']);
    expect(cacheGroups({ 'cache-groups': 'a, "b"' })).toEqual([]);
    expect(cacheGroups({ 'cache-groups': '"a' })).toEqual([]);
    expect(cacheGroups({})).toEqual([]);
    const many = Array.from({ length: 40 }, (_, i) => `${i}`.padStart(32, 'g'));
    expect(groupInvalidations({ 'cache-group-invalidation': formatCacheGroups(many) })).toEqual(many);
    expect(formatCacheGroups(['a"b\\', 'ü'])).toBe(String.raw`"a\"b\\"`);
  });
});

describe('Cache-Status', () => {
  it('O1: says what was done, behind what caches before us said', () => {
    expect(formatCacheStatus({ cache: 'app', hit: true, ttl: 9500, detail: 'memory' })).toBe(
      'app; hit; ttl=9; detail=memory',
    );
    expect(formatCacheStatus({ cache: 'app', fwd: 'stale', fwdStatus: 304, ttl: -1500, stored: true })).toBe(
      'app; fwd=stale; fwd-status=304; ttl=-2; stored',
    );
    expect(formatCacheStatus({ cache: 'my app', fwd: 'uri-miss', collapsed: false, key: 'a"b' })).toBe(
      String.raw`"my app"; fwd=uri-miss; collapsed=?0; key="a\"b"`,
    );
    expect(appendCacheStatus('origin; hit', { cache: 'app', fwd: 'miss', collapsed: true })).toBe(
      'origin; hit, app; fwd=miss; collapsed',
    );
    expect(appendCacheStatus(['a', 'b'], { cache: 'c', hit: true })).toBe('a, b, c; hit');
  });

  it('O1: no key can break out of its member', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (cache, key) => {
        const parsed = parseStructuredList([formatCacheStatus({ cache, hit: true, key, detail: cache })]);
        expect(parsed?.length).toBe(1);
      }),
    );
  });
});

describe('entity tags', () => {
  it('C2: made from the bytes, weak by default', () => {
    const bytes = new TextEncoder().encode('hello');
    expect(makeEntityTag(bytes)).toMatch(/^W\/"5-[\w-]{27}"$/);
    expect(makeEntityTag(bytes, 'strong')).toMatch(/^"5-[\w-]{27}"$/);
    expect(makeEntityTag(bytes)).toBe(makeEntityTag(Uint8Array.from(bytes)));
    expect(makeEntityTag(bytes)).not.toBe(makeEntityTag(new TextEncoder().encode('hellp')));
  });

  it('C2 C6: strong and weak comparison (RFC 9110 8.8.3.2, table 3); a recoded body has a weak tag', () => {
    const table: [string, string, boolean, boolean][] = [
      ['W/"1"', 'W/"1"', false, true],
      ['W/"1"', 'W/"2"', false, false],
      ['W/"1"', '"1"', false, true],
      ['"1"', '"1"', true, true],
    ];
    for (const [a, b, strong, weak] of table) expect([strongMatch(a, b), weakMatch(a, b)]).toEqual([strong, weak]);
    expect(weakened('"1"')).toBe('W/"1"');
    expect(weakened('W/"1"')).toBe('W/"1"');
  });
});
