import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  answer,
  downstream,
  parseCacheControl,
  remainingAt,
  type CacheStatus,
  type Fields,
} from '../../src/http-semantics/index.js';
import { date, NOW, rfc, rfcPrivate, rfcShared, SECOND, stored, ttl, ttlPrivate, ttlShared } from './exchange.js';

/** The Cache-Control sent on, so many seconds after arrival. */
function said(headers: Fields, seconds: number, policy = ttlShared): string | undefined {
  return downstream(stored({ headers }, policy).stored, NOW + seconds * SECOND);
}

describe('downstream Cache-Control', () => {
  it('O2: in ttl mode what is left, on top of the Age that goes with it', () => {
    expect(said({}, 0)).toBe('max-age=60');
    expect(said({}, 20)).toBe('max-age=60');
    expect(said({}, 20.4)).toBe('max-age=59');
    expect(said({}, 60)).toBe('max-age=0');
    expect(said({}, 600)).toBe('max-age=0');
  });

  it('O2: not longer than the handler or the policy allows, counted from now', () => {
    expect(said({ 'cache-control': 'max-age=5' }, 0)).toBe('max-age=5');
    expect(said({ 'cache-control': 'max-age=5' }, 20)).toBe('max-age=25');
    expect(said({ 'cache-control': 'max-age=0' }, 20)).toBe('max-age=0');
    expect(said({ 'cache-control': 'max-age=600, s-maxage=10' }, 0)).toBe('max-age=60, s-maxage=10');
    expect(said({}, 0, ttl({ promiseAtMost: 10_000 }))).toBe('max-age=10');
    expect(said({}, 0, ttl({ promiseAtMost: 0 }))).toBe('max-age=0');
  });

  it('O2: private in the partition of a principal', () => {
    expect(said({}, 0, ttlPrivate)).toBe('private, max-age=60');
    expect(said({ 'cache-control': 'public, s-maxage=9, max-age=30' }, 0, ttlPrivate)).toBe('private, max-age=30');
    expect(said({ 'cache-control': 'public, max-age=30' }, 0, rfcPrivate)).toBe('private, max-age=30');
  });

  it('O2: stale-while-revalidate only with a number, and not once stale', () => {
    const policy = ttl({ staleWhileRevalidate: 30_000 });
    expect(said({}, 0, policy)).toBe('max-age=60, stale-while-revalidate=30');
    expect(said({}, 70, policy)).toBe('max-age=0');
  });

  it('O2: what the handler demands of caches stays', () => {
    expect(said({ 'cache-control': 'public, must-revalidate, no-transform, immutable' }, 0)).toBe(
      'public, max-age=60, must-revalidate, no-transform, immutable',
    );
  });

  it('O2: a shared cache in rfc mode repeats the words of the origin, or says nothing', () => {
    expect(said({ 'cache-control': 'Max-Age=60, foo="bar"' }, 30, rfcShared)).toBe('Max-Age=60, foo="bar"');
    expect(said({ expires: date(100) }, 30, rfcShared)).toBeUndefined();
  });

  it('O2: never promises more than is kept, nor than the handler allowed', () => {
    const policy = fc.record({
      mode: fc.constantFrom('ttl' as const, 'rfc' as const),
      view: fc.constantFrom('shared' as const, 'private' as const),
      freshFor: fc.integer({ min: 1, max: 1_000_000 }),
      staleWhileRevalidate: fc.nat(100_000),
      promiseAtMost: fc.option(fc.nat(1_000_000), { nil: undefined }),
    });
    const headers = fc.record({
      'cache-control': fc
        .array(
          fc.oneof(
            fc.nat(2000).map((s) => `max-age=${s}`),
            fc.nat(2000).map((s) => `s-maxage=${s}`),
            fc.constant('public'),
          ),
        )
        .map((all) => all.join(',')),
      age: fc.nat(500).map(String),
      etag: fc.constant('"a"'),
    });
    fc.assert(
      fc.property(policy, headers, fc.nat(2_000_000), ({ promiseAtMost, ...options }, fields, elapsed) => {
        const settings = promiseAtMost === undefined ? options : { ...options, promiseAtMost };
        const made = stored({ headers: fields }, settings.mode === 'rfc' ? rfc(settings) : ttl(settings));
        const now = NOW + elapsed;
        const sent = answer(made.stored, made.headers, { method: 'GET', headers: {} }, { now, length: 0 });
        const says = parseCacheControl([sent.headers['cache-control'] as string]);
        const left = (remainingAt(made.stored, now) + (says.staleWhileRevalidate ?? 0) * 1000) / 1000;
        const until = Math.max(says.maxAge ?? 0, says.sMaxage ?? 0) + (says.staleWhileRevalidate ?? 0);
        const granted = until - Number(sent.headers['age']);
        const isVerbatim = settings.mode === 'rfc' && settings.view === 'shared';
        // The origin's own words may promise others more than a shared cache gets; they and Age are exact to a second.
        if (!isVerbatim) expect(granted).toBeLessThanOrEqual(Math.max(0, left));
        else if (says.sMaxage === undefined) expect(granted).toBeLessThanOrEqual(Math.max(0, left) + 1);
        if (settings.view === 'private') expect(says.private).toBe(true);
        if (!isVerbatim && promiseAtMost !== undefined)
          expect((says.maxAge ?? 0) - Number(sent.headers['age'])).toBeLessThanOrEqual(promiseAtMost / 1000);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('an answer from the cache', () => {
  const hit: CacheStatus = { cache: 'app', hit: true };
  const headers: Fields = {
    etag: 'W/"a"',
    date: date(),
    'last-modified': date(-50),
    'content-type': 'text/plain',
    'content-length': '11',
    'content-location': '/x',
    vary: 'Accept',
    'x-total-count': '5',
    expires: date(9999),
    'cache-status': 'origin; fwd=miss',
  };
  const made = stored({ status: 200, headers }, ttlShared);

  function answered(request: Fields, method = 'GET', seconds = 20) {
    return answer(
      made.stored,
      made.headers,
      { method, headers: request },
      { now: NOW + seconds * SECOND, length: 11, status: hit },
    );
  }

  it('S11 F2 O1: all of it, with Age, the stored Date, our Cache-Control and Cache-Status', () => {
    const all = answered({});
    expect(all.status).toBe(200);
    expect(all.body).toBe('full');
    const { expires: _, ...kept } = headers;
    expect({ ...all.headers }).toEqual({
      ...kept,
      age: '20',
      'cache-control': 'max-age=60',
      'cache-status': 'origin; fwd=miss, app; hit; ttl=40',
    });
  });

  it('C1: 304 with the fields that go with it and no others', () => {
    const unchanged = answered({ 'if-none-match': 'W/"a"' });
    expect(unchanged).toMatchObject({ status: 304, body: 'none' });
    expect(Object.keys(unchanged.headers).sort()).toEqual(
      ['age', 'cache-control', 'cache-status', 'content-location', 'date', 'etag', 'vary'].sort(),
    );
    const { etag: _, ...untagged } = headers;
    const dated = stored({ headers: untagged }, ttlShared);
    const request = { method: 'GET', headers: { 'if-modified-since': date() } };
    expect(answer(dated.stored, dated.headers, request, { now: NOW, length: 11 }).headers).toMatchObject({
      'last-modified': date(-50),
      age: '0',
    });
  });

  it('C4: HEAD has the fields of GET and no body', () => {
    const head = answered({}, 'HEAD');
    expect(head.body).toBe('none');
    expect(head).toMatchObject({ status: 200, headers: { ...answered({}).headers } });
  });

  it('C5: ranges; conditions come first', () => {
    expect(answered({ range: 'bytes=0-1' })).toMatchObject({
      status: 206,
      body: { start: 0, end: 2 },
      headers: { 'content-range': 'bytes 0-1/11', 'content-length': '2', age: '20' },
    });
    const beyond = answered({ range: 'bytes=11-' });
    expect(beyond).toEqual({
      status: 416,
      body: 'none',
      headers: {
        'content-range': 'bytes */11',
        'content-length': '0',
        'cache-control': 'no-store',
        vary: 'Accept',
        'cache-status': 'origin; fwd=miss, app; hit; ttl=40',
      },
    });
    expect(answered({ range: 'bytes=0-1', 'if-none-match': 'W/"a"' }).status).toBe(304);
    expect(answered({ 'if-match': '"b"' })).toEqual({ status: 412, headers: {}, body: 'none' });
  });

  it('S11: other statuses with their fields', () => {
    const moved = stored({ status: 301, headers: { location: '/there' } }, ttlShared);
    const sent = answer(moved.stored, moved.headers, { method: 'GET', headers: {} }, { now: NOW, length: 0 });
    expect({ ...sent, headers: { ...sent.headers } }).toEqual({
      status: 301,
      headers: { location: '/there', age: '0', 'cache-control': 'max-age=60' },
      body: 'full',
    });
  });

  it('S11: what is stored is not changed by answering', () => {
    const frozen = stored({ headers }, ttlShared);
    Object.freeze(frozen.headers);
    Object.freeze(frozen.stored);
    const before = JSON.stringify(frozen);
    answer(
      frozen.stored,
      frozen.headers,
      { method: 'GET', headers: { range: 'bytes=99-' } },
      { now: NOW, length: 11, status: hit },
    );
    expect(JSON.stringify(frozen)).toBe(before);
  });
});
