import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_SECONDS, parseCacheControl, type Directives } from '../../src/http-semantics/index.js';

const cases: [string, Directives][] = [
  ['', {}],
  [' , ,', {}],
  ['max-age=60', { maxAge: 60 }],
  ['MaX-aGe=60', { maxAge: 60 }],
  ['max-age="60"', { maxAge: 60 }],
  ['max-age=060', { maxAge: 60 }],
  ['max-age=2147483648', { maxAge: MAX_SECONDS }],
  ['max-age=99999999999', { maxAge: MAX_SECONDS }],
  ["max-age='60'", { maxAge: 0 }],
  ['max-age=-60', { maxAge: 0 }],
  ['max-age=60.0', { maxAge: 0 }],
  ['max-age=a60', { maxAge: 0 }],
  ['max-age=60a', { maxAge: 0 }],
  ['max-age =60', { maxAge: 0 }],
  ['max-age= 60', { maxAge: 0 }],
  ['max-age', { maxAge: 0 }],
  ['max-age=', { maxAge: 0 }],
  ['max-age=60, max-age=60', { maxAge: 60 }],
  ['max-age=60, max-age=1', { maxAge: 0 }],
  ['max-age=1, max-age=60', { maxAge: 0 }],
  ['s-maxage=5, S-MaxAge=6', { sMaxage: 0 }],
  ['extension="max-age=3600", max-age=1', { maxAge: 1 }],
  ['max-age=1, extension="max-age=3600, no-store"', { maxAge: 1 }],
  [String.raw`extension="a\", no-store", max-age=1`, { maxAge: 1 }],
  ['foobar, max-age=60', { maxAge: 60 }],
  ['stale-while-revalidate=10, stale-while-revalidate=5', { staleWhileRevalidate: 5 }],
  ['stale-if-error=x', { staleIfError: 0 }],
  ['max-stale', { maxStale: Infinity }],
  ['max-stale, max-stale=5', { maxStale: 5 }],
  ['min-fresh=5, min-fresh=10', { minFresh: 10 }],
  ['no-cache="Set-Cookie, A"', { noCacheFields: ['set-cookie', 'a'] }],
  ['private="a", private="b"', { privateFields: ['a', 'b'] }],
  ['private="a", private', { privateFields: ['a'], private: true }],
  ['public, must-understand', { public: true, mustUnderstand: true }],
  ['public=1', {}],
];

describe('Cache-Control', () => {
  it.each(cases)('S3 F1: %s', (text, expected) => expect(parseCacheControl([text])).toEqual(expected));

  it('F1: two lines are one list', () => {
    expect(parseCacheControl(['max-age=60', 'max-age=1, private'])).toEqual({ maxAge: 0, private: true });
    expect(parseCacheControl(['no-cache="a"', 'max-age=3600'])).toEqual({ noCacheFields: ['a'], maxAge: 3600 });
  });

  it.each([
    'Private',
    'PRIVATE',
    ' private ',
    'private=""',
    'private=" , "',
    'private="no good"',
    'private=a',
    'private=',
    'private =""',
    'private="a',
    'private; max-age=60',
    'max-age=60; private',
    'max-age=60;private',
    '"private"',
    'x="a, private',
    'x="a, private, y="b',
    'max-age=60,private',
    'max-age=60,,private,',
    '\tprivate\t',
    'private\u00a0',
  ])('S3: reads private in %j (undici CVE-2026-13697, httpd, Django CVE-2026-8404)', (text) => {
    expect(parseCacheControl([text]).private).toBe(true);
  });

  it.each(['No-Store', 'no-store=1', 'no-store=""', 'no-store;', 'x="a;no-store', 'max-age=1;no-store'])(
    'S3: reads no-store in %j (squid and http-cache-semantics do not)',
    (text) => expect(parseCacheControl([text]).noStore).toBe(true),
  );

  it('S3: what a separator gone wrong sets apart grants nothing', () => {
    expect(parseCacheControl(['max-age=60; public'])).toEqual({ maxAge: 0 });
    expect(parseCacheControl(['x="a, max-age=60, public'])).toEqual({ maxAge: 0 });
  });

  it('S3: never throws, whatever the bytes', () => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom(...'",;=\\ \t', 'private', 'max-age', 'no-cache', '1', '\0', '\u00ff') }),
    );
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 4 }), (lines) => {
        const found = parseCacheControl(lines);
        for (const value of Object.values(found))
          if (typeof value === 'number') expect(value).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 2000 },
    );
  });

  it('S3: no-store and private are seen in any company outside well-formed quotes', () => {
    const directive = fc
      .constantFrom('no-store', 'private')
      .chain((name) =>
        fc
          .tuple(
            fc.array(fc.boolean(), { minLength: name.length, maxLength: name.length }),
            fc.constantFrom('', '=""', '=x', ' ', ';', '; x', '=" "', ' = ""'),
          )
          .map(([upper, end]) => [name, [...name].map((c, i) => (upper[i] ? c.toUpperCase() : c)).join('') + end]),
      );
    const company = fc.array(
      fc.constantFrom('max-age=60', 'x="a, b"', 'x="a\\"b"', 'public', '', 'x="', '"', 'x=";"', 'y; z="q"', 'a"b"c'),
    );
    fc.assert(
      fc.property(directive, company, company, fc.constantFrom(',', ', ', ' ,\t'), (named, before, after, comma) => {
        // Quotes before it may well-formedly enclose it; then it is no directive.
        const [name, text] = named as [string, string];
        const isEnclosed = before.join(comma).split(/(?<!\\)"/).length % 2 === 0;
        fc.pre(!isEnclosed);
        const found = parseCacheControl([[...before, text, ...after].join(comma)]);
        expect(name === 'private' ? found.private : found.noStore).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });
});
