import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CachePolicy, Fields } from '../../src/http-semantics/index.js';
import {
  date,
  outcome,
  rfc,
  rfcPrivate,
  rfcShared,
  stored,
  ttl,
  ttlPrivate,
  ttlShared,
  type ExchangeOptions,
} from './exchange.js';

const FRESH = { 'cache-control': 'max-age=3600' };

function table(policy: CachePolicy, rows: [string, ExchangeOptions, string][]): void {
  it.each(rows)('%s', (_, options, expected) => expect(outcome(options, policy)).toBe(expected));
}

describe('what may be stored, rfc mode, shared', () => {
  table(rfcShared, [
    ['S1: GET', { headers: FRESH }, 'stored'],
    ['S1: HEAD makes no entry', { method: 'HEAD', headers: FRESH }, 'method'],
    ['S1: POST', { method: 'POST', headers: FRESH }, 'method'],
    ['S1: methods are case-sensitive', { method: 'get', headers: FRESH }, 'method'],
    ...[200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599].map(
      (status) =>
        [`S2: ${status} with explicit freshness`, { status, headers: FRESH }, 'stored'] as [
          string,
          ExchangeOptions,
          string,
        ],
    ),
    ...[100, 103, 205, 206, 304, 600, 999].map(
      (status) =>
        [`S2: ${status} never`, { status, headers: { ...FRESH, etag: '"a"' } }, 'status'] as [
          string,
          ExchangeOptions,
          string,
        ],
    ),
    ...[200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501].map(
      (status) =>
        [`S2: ${status} by heuristics`, { status, headers: { 'last-modified': date(-86_400) } }, 'stored'] as [
          string,
          ExchangeOptions,
          string,
        ],
    ),
    ...[201, 202, 302, 303, 307, 403, 500, 502, 503, 504, 599].map(
      (status) =>
        [`S2: ${status} not by heuristics`, { status, headers: { 'last-modified': date(-86_400) } }, 'not-fresh'] as [
          string,
          ExchangeOptions,
          string,
        ],
    ),
    [
      'S2: 599 by heuristics where public',
      { status: 599, headers: { 'last-modified': date(-86_400), 'cache-control': 'public' } },
      'stored',
    ],
    ['S2: nothing said at all', {}, 'not-fresh'],
    ['S2: 204 with nothing said (Next.js CVE-2025-49826)', { status: 204 }, 'not-fresh'],
    ['S3: no-store', { headers: { 'cache-control': 'max-age=10000, no-store', expires: date(10_000) } }, 'no-store'],
    ['S3: No-StOrE', { headers: { 'cache-control': 'No-StOrE, max-age=60' } }, 'no-store'],
    ['S3: no-store of the request', { request: { 'cache-control': 'no-store' }, headers: FRESH }, 'request-no-store'],
    ['S3: private', { headers: { 'cache-control': 'private, max-age=60' } }, 'private'],
    [
      'S3: Private (http-cache-semantics 4.3, got, make-fetch-happen, Django CVE-2026-8404)',
      { headers: { 'cache-control': 'Private, max-age=60' } },
      'private',
    ],
    [
      'S3: private="" (undici CVE-2026-13697, httpd)',
      { headers: { 'cache-control': 'private="", max-age=60' } },
      'private',
    ],
    ['S3: private="a" withholds the field only', { headers: { 'cache-control': 'private="a", max-age=60' } }, 'stored'],
    [
      'S3: no-store yields to must-understand of a known status',
      { headers: { 'cache-control': 'max-age=60, no-store, must-understand' } },
      'stored',
    ],
    [
      'S3: must-understand of an unknown status',
      { status: 599, headers: { 'cache-control': 'max-age=60, must-understand' } },
      'status',
    ],
    [
      'S4: Authorization (nginx; Django CVE-2026-35193)',
      { request: { authorization: 'x' }, headers: { expires: date(1000), date: date() } },
      'authorization',
    ],
    ['S4: Authorization, max-age', { request: { authorization: 'x' }, headers: FRESH }, 'authorization'],
    ...['public', 'must-revalidate', 's-maxage=60'].map(
      (allows) =>
        [
          `S4: Authorization and ${allows}`,
          { request: { authorization: 'x' }, headers: { 'cache-control': `max-age=60, ${allows}` } },
          'stored',
        ] as [string, ExchangeOptions, string],
    ),
    ...[['*'], ['*, *'], ['*', '*'], [', *'], ['', '*'], ['*, Foo'], ['Foo, *'], [' * '], ['Foo', 'Bar , *']].map(
      (vary) =>
        [
          `S5: Vary ${JSON.stringify(vary)} (varnish, nginx, Django CVE-2026-6907 and CVE-2026-48587)`,
          { headers: { ...FRESH, vary } },
          'vary',
        ] as [string, ExchangeOptions, string],
    ),
    ['S6: Set-Cookie', { headers: { ...FRESH, 'set-cookie': ['a=b'] } }, 'set-cookie'],
    [
      'S6: Set-Cookie and Vary: Cookie and an unrelated cookie (Django CVE-2026-48588)',
      { request: { cookie: '_ga=1' }, headers: { ...FRESH, vary: 'Cookie', 'set-cookie': ['sid=1'] } },
      'set-cookie',
    ],
    ['S8: complete', { headers: FRESH, body: { bytes: 5, isComplete: true } }, 'stored'],
    ['S8: aborted', { headers: FRESH, body: { bytes: 5, isComplete: false } }, 'incomplete'],
    [
      'S8: short of Content-Length',
      { headers: { ...FRESH, 'content-length': '10' }, body: { bytes: 5, isComplete: true } },
      'incomplete',
    ],
    ['S8: two lengths', { headers: { ...FRESH, 'content-length': '5, 10' } }, 'incomplete'],
    [
      'S8: the same length twice',
      { headers: { ...FRESH, 'content-length': ['5', '5'] }, body: { bytes: 5, isComplete: true } },
      'stored',
    ],
    ['S10: an event stream', { headers: { ...FRESH, 'content-type': 'Text/Event-Stream; charset=utf-8' } }, 'stream'],
    ['S10: upgraded', { status: 101, headers: FRESH }, 'status'],
    ['F1: max-age=0 without validator', { headers: { 'cache-control': 'max-age=0' } }, 'not-fresh'],
    ['F1: max-age=0 with validator', { headers: { 'cache-control': 'max-age=0', etag: '"a"' } }, 'stored'],
    ['F1: no-cache with validator', { headers: { 'cache-control': 'no-cache', etag: '"a"' } }, 'stored'],
    ['F4: max-age=0 but usable on error', { headers: { 'cache-control': 'max-age=0, stale-if-error=60' } }, 'stored'],
  ]);

  it('S2: the lifetime that a policy gives to silence is not for errors', () => {
    const policy = rfc({ freshFor: 60_000 });
    for (const status of [200, 301]) expect(outcome({ status }, policy)).toBe('stored');
    for (const status of [204, 302, 404, 500, 503]) expect(outcome({ status }, policy)).toBe('not-fresh');
    const negative = rfc({ freshFor: 60_000, negative: { freshFor: 5000, statuses: [404, 503] } });
    for (const status of [404, 503]) {
      const made = stored({ status }, negative).stored;
      expect(made.freshUntil - made.receivedAt).toBe(5000);
    }
    expect(outcome({ status: 500 }, negative)).toBe('not-fresh');
  });

  it('S9: limits hold for what was announced and for what came', () => {
    const policy = rfc({ maxBytes: 10 });
    expect(outcome({ headers: { ...FRESH, 'content-length': '11' } }, policy)).toBe('too-large');
    expect(outcome({ headers: FRESH, body: { bytes: 11, isComplete: true } }, policy)).toBe('too-large');
    expect(outcome({ headers: FRESH, body: { bytes: 10, isComplete: true } }, policy)).toBe('stored');
  });

  it('S10: streams where asked for', () => {
    const headers = { ...FRESH, 'content-type': 'text/event-stream' };
    expect(outcome({ headers }, rfc({ cacheStreams: true }))).toBe('stored');
  });
});

describe('what may be stored, private view', () => {
  table(rfcPrivate, [
    ['S3: private', { headers: { 'cache-control': 'private, max-age=60' } }, 'stored'],
    ['S3: no-store still', { headers: { 'cache-control': 'no-store' } }, 'no-store'],
    ['S4: Authorization', { request: { authorization: 'x' }, headers: FRESH }, 'stored'],
    ['S5: Vary: *', { headers: { ...FRESH, vary: '*' } }, 'vary'],
    ['S6: Set-Cookie', { headers: { ...FRESH, 'set-cookie': 'a=b' } }, 'set-cookie'],
    ['F1: s-maxage is not for it', { headers: { 'cache-control': 's-maxage=60' } }, 'not-fresh'],
  ]);
});

describe('what may be stored, ttl mode', () => {
  table(ttlShared, [
    ['S2: 200 with nothing said', {}, 'stored'],
    ...[204, 302, 303, 307, 404, 410, 500, 502, 503].map(
      (status) => [`S2: ${status} not unless listed`, { status }, 'status'] as [string, ExchangeOptions, string],
    ),
    ...[203, 301, 308].map((status) => [`S2: ${status}`, { status }, 'stored'] as [string, ExchangeOptions, string]),
    ['S3: private (Hono CVE-2026-24472)', { headers: { 'cache-control': 'Private' } }, 'private'],
    ['S3: no-store', { headers: { 'cache-control': 'NO-STORE' } }, 'no-store'],
    [
      'S3: no-store, must-understand: the opt-out wins',
      { headers: { 'cache-control': 'no-store, must-understand' } },
      'no-store',
    ],
    ['S3: no-cache', { headers: { 'cache-control': 'no-cache' } }, 'no-cache'],
    [
      'S3: no-store beside CDN-Cache-Control: the opt-out wins',
      { headers: { 'cache-control': 'no-store', 'cdn-cache-control': 'max-age=60' } },
      'no-store',
    ],
    ['S3: CDN-Cache-Control: private', { headers: { 'cdn-cache-control': 'private' } }, 'private'],
    [
      'S4: Authorization, even public',
      { request: { authorization: 'x' }, headers: { 'cache-control': 'public' } },
      'authorization',
    ],
    ['S6: Set-Cookie (Nitro #3468)', { headers: { 'set-cookie': 'a=b' } }, 'set-cookie'],
    [
      'C6: a coding without Vary (Nest CacheInterceptor, apicache)',
      { headers: { 'content-encoding': 'gzip' } },
      'coding-without-vary',
    ],
    ['C6: a coding with Vary', { headers: { 'content-encoding': 'gzip', vary: 'Accept-Encoding' } }, 'stored'],
    ['C6: identity', { headers: { 'content-encoding': 'identity' } }, 'stored'],
    ['S3: a nonce is for one page', { headers: { 'content-security-policy': "script-src 'nonce-abc'" } }, 'nonce'],
  ]);

  it('S2: errors only as negative caching, for a time of their own', () => {
    const policy = ttl({ negative: { freshFor: 5000 } });
    expect(outcome({ status: 404 }, policy)).toBe('stored');
    expect(outcome({ status: 500 }, policy)).toBe('status');
    expect(outcome({ status: 503 }, ttl({ negative: { freshFor: 5000, statuses: [503] } }))).toBe('stored');
    const { stored: negative } = stored({ status: 404 }, policy);
    expect(negative.freshUntil - negative.receivedAt).toBe(5000);
    expect(stored({}, policy).stored.freshUntil - negative.receivedAt).toBe(60_000);
  });

  it('S2: a lifetime of 0 stores nothing; a status may be listed', () => {
    expect(outcome({}, ttl({ freshFor: 0 }))).toBe('not-fresh');
    expect(outcome({ status: 204 }, ttl({ statuses: [204] }))).toBe('stored');
  });

  it('S4: Authorization with a principal partition, or where the route declares it irrelevant', () => {
    expect(outcome({ request: { authorization: 'x' } }, ttlPrivate)).toBe('stored');
    expect(outcome({ request: { authorization: 'x' } }, ttl({ authorization: 'ignore' }))).toBe('stored');
    const asRfc = ttl({ authorization: 'rfc' });
    expect(outcome({ request: { authorization: 'x' } }, asRfc)).toBe('authorization');
    expect(outcome({ request: { authorization: 'x' }, headers: { 'cache-control': 'public' } }, asRfc)).toBe('stored');
  });

  it('S3: private is no opt-out from the partition of its principal', () => {
    expect(outcome({ headers: { 'cache-control': 'private' } }, ttlPrivate)).toBe('stored');
  });
});

describe('what is stored of it', () => {
  const headers: Fields = {
    ...FRESH,
    connection: 'A, close',
    a: '1',
    b: '2',
    'keep-alive': 'timeout=5',
    'transfer-encoding': 'chunked',
    trailer: 'x-sum',
    'proxy-authenticate': 'Basic',
    upgrade: 'h2c',
    location: '/there',
    'content-type': 'text/plain',
    link: ['<a>', '<b>'],
    age: '5',
  };

  it('S7 S11: end-to-end fields, every line of them, and the status; not hop-by-hop ones, nor what Connection names', () => {
    const made = stored({ status: 301, headers }, rfcShared);
    expect(made.stored.status).toBe(301);
    expect(made.headers).toEqual({
      ...FRESH,
      b: '2',
      location: '/there',
      'content-type': 'text/plain',
      link: ['<a>', '<b>'],
    });
  });

  it('S6: Set-Cookie is stripped where a policy says so', () => {
    const made = stored(
      { headers: { ...FRESH, 'set-cookie': 'a=b', 'set-cookie2': 'c' } },
      rfc({ setCookie: 'strip' }),
    );
    expect(made.headers).toEqual(FRESH);
  });

  it('S3: without the fields of a qualified private or no-cache', () => {
    const given = { 'cache-control': 'max-age=60, private="a", no-cache="B, c"', a: '1', b: '2', c: '3', d: '4' };
    expect(Object.keys(stored({ headers: given }, rfcShared).headers)).toEqual(['cache-control', 'd']);
    expect(Object.keys(stored({ headers: given }, rfcPrivate).headers)).toEqual(['cache-control', 'a', 'd']);
  });

  it('S7: a field named like a part of every object is a field, but for __proto__', () => {
    const made = stored(
      { headers: JSON.parse('{"cache-control":"max-age=9","__proto__":"x","constructor":"y"}') },
      rfcShared,
    );
    expect(Object.keys(made.headers)).toEqual(['cache-control', 'constructor']);
  });

  it('S4: credentials are not stored, though they select', () => {
    const made = stored(
      {
        request: { cookie: 'sid=secret', authorization: 'Bearer secret' },
        headers: { ...FRESH, vary: 'Cookie, Authorization' },
      },
      rfc({ authorization: 'ignore' }),
    );
    expect(made.stored.vary?.length).toBe(2);
    expect(JSON.stringify(made)).not.toContain('secret');
  });

  it('S3 S5 S6: no opt-out is missed, whatever stands around it and in whatever case (10,000 runs)', () => {
    const noise = fc.constantFrom('public', 'max-age=600', 's-maxage=600', 'immutable', 'x="y, z"', '', 'max-age="60"');
    const spelled = (names: string[]): fc.Arbitrary<string> =>
      fc
        .tuple(fc.constantFrom(...names), fc.array(fc.boolean(), { minLength: 10, maxLength: 10 }))
        .map(([name, upper]) => [...name].map((c, i) => (upper[i % 10] ? c.toUpperCase() : c)).join(''));
    const optOut = fc.oneof(
      fc
        .tuple(
          fc.array(noise),
          spelled(['no-store', 'private', 'private=""', 'no-store=1']),
          fc.array(noise),
          fc.boolean(),
        )
        .map(([before, name, after, isSplit]): Fields => {
          const members = [...before, name, ...after];
          return { 'cache-control': isSplit ? members : members.join(', ') };
        }),
      fc
        .tuple(fc.array(spelled(['accept', 'cookie', ''])))
        .map(([names]): Fields => ({ ...FRESH, vary: [...names, ' *'] })),
      fc.constantFrom('set-cookie', 'set-cookie2').map((name): Fields => ({ ...FRESH, [name]: 'a=b' })),
    );
    const policies = [rfcShared, ttlShared, ttl({ authorization: 'ignore', negative: { freshFor: 1000 } })];
    fc.assert(
      fc.property(optOut, fc.constantFrom(...policies), fc.constantFrom(200, 301, 404), (headers, policy, status) => {
        expect(outcome({ status, headers }, policy)).not.toBe('stored');
      }),
      { numRuns: 10_000 },
    );
  });
});
