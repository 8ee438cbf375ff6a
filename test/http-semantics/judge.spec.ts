import { describe, expect, it } from 'vitest';
import {
  isOriginError,
  isShareable,
  judge,
  judgeMiss,
  markStale,
  usableUntil,
  type CachePolicy,
  type Fields,
} from '../../src/http-semantics/index.js';
import { NOW, rfc, rfcPrivate, rfcShared, SECOND, stored, ttl, ttlShared } from './exchange.js';

/** The verdict so many seconds after arrival, with `+` for a refresh and `!` where an error would be covered. */
function verdict(cacheControl: string, seconds: number, request: string | undefined, policy: CachePolicy): string {
  const headers: Fields = { etag: '"a"', ...(cacheControl && { 'cache-control': cacheControl }) };
  const asked: Fields = request === undefined ? {} : { 'cache-control': request };
  const judged = judge(stored({ headers }, policy).stored, asked, NOW + seconds * SECOND, policy);
  return `${judged.verdict}${judged.isRefreshDue ? '+' : ''}${judged.isUsableOnError ? '!' : ''}`;
}

describe('a stored response without request directives', () => {
  it.each<[string, number, string]>([
    ['max-age=60', 0, 'fresh!'],
    ['max-age=60', 59.999, 'fresh!'],
    ['max-age=60', 60, 'revalidate'],
    ['max-age=60, no-cache', 0, 'revalidate'],
    ['max-age=60, stale-while-revalidate=30', 60, 'stale+'],
    ['max-age=60, stale-while-revalidate=30', 89.999, 'stale+'],
    ['max-age=60, stale-while-revalidate=30', 90, 'revalidate'],
    ['max-age=60, stale-if-error=30', 60, 'revalidate!'],
    ['max-age=60, stale-if-error=30', 89.999, 'revalidate!'],
    ['max-age=60, stale-if-error=30', 90, 'revalidate'],
    ['max-age=60, stale-while-revalidate=10, stale-if-error=30', 65, 'stale+!'],
    ['max-age=60, stale-while-revalidate=30, stale-if-error=30, must-revalidate', 61, 'revalidate'],
    ['max-age=60, stale-while-revalidate=30, stale-if-error=30, proxy-revalidate', 61, 'revalidate'],
    ['max-age=60, stale-while-revalidate=30, stale-if-error=30, no-cache', 61, 'revalidate'],
    ['s-maxage=60, stale-while-revalidate=600, stale-if-error=30', 61, 'revalidate'],
    ['max-age=60, stale-while-revalidate=x', 61, 'revalidate'],
  ])('F4: %s after %d s: %s', (cacheControl, seconds, expected) =>
    expect(verdict(cacheControl, seconds, undefined, rfcShared)).toBe(expected),
  );

  it('F4: stale-if-error yields to must-revalidate (http-cache-semantics serves it)', () => {
    expect(verdict('max-age=1, stale-if-error=60, must-revalidate', 2, undefined, rfcPrivate)).toBe('revalidate');
  });

  it('F4: proxy-revalidate and s-maxage are nothing to a private cache', () => {
    expect(verdict('max-age=60, proxy-revalidate, stale-if-error=30', 61, undefined, rfcPrivate)).toBe('revalidate!');
    expect(verdict('max-age=60, s-maxage=5, stale-if-error=30', 61, undefined, rfcPrivate)).toBe('revalidate!');
  });

  it('F4: a policy grants windows where headers are silent, and only there', () => {
    const policy = rfc({ staleWhileRevalidate: 30_000, staleIfError: 60_000 });
    expect(verdict('max-age=60', 61, undefined, policy)).toBe('stale+!');
    expect(verdict('max-age=60', 100, undefined, policy)).toBe('revalidate!');
    expect(verdict('max-age=60, stale-while-revalidate=0, stale-if-error=0', 61, undefined, policy)).toBe('revalidate');
    expect(verdict('max-age=60, must-revalidate', 61, undefined, policy)).toBe('revalidate');
  });

  it('F4: in ttl mode the decorator grants; s-maxage is a mere lifetime, must-revalidate an opt-out (ocache, Nitro)', () => {
    const policy = ttl({ staleWhileRevalidate: 30_000, staleIfError: 60_000 });
    expect(verdict('', 61, undefined, policy)).toBe('stale+!');
    expect(verdict('s-maxage=5', 61, undefined, policy)).toBe('stale+!');
    expect(verdict('max-age=5, stale-while-revalidate=0', 61, undefined, policy)).toBe('stale+!');
    expect(verdict('must-revalidate', 61, undefined, policy)).toBe('revalidate');
    expect(verdict('', 121, undefined, policy)).toBe('revalidate');
    expect(verdict('stale-while-revalidate=600', 61, undefined, ttlShared)).toBe('revalidate');
  });

  it('F4: errors that staleness covers', () => {
    expect([500, 502, 503, 504].every(isOriginError)).toBe(true);
    expect([200, 404, 429, 501, 505].some(isOriginError)).toBe(false);
  });

  it('F4: tells a store how long anything permits its use', () => {
    const made = stored(
      { headers: { 'cache-control': 'max-age=60, stale-while-revalidate=10, stale-if-error=30' } },
      rfcShared,
    );
    expect(usableUntil(made.stored)).toBe(NOW + 90_000);
  });

  it('I3: a soft invalidation makes it stale, and its windows start then', () => {
    const headers = { 'cache-control': 'max-age=60, stale-while-revalidate=30' };
    const made = markStale(stored({ headers }, rfcShared).stored, NOW + 5000);
    expect(judge(made, {}, NOW + 5000, rfcShared).verdict).toBe('stale');
    expect(judge(made, {}, NOW + 35_000, rfcShared).verdict).toBe('revalidate');
    expect(markStale(made, NOW + 50_000)).toBe(made);
    const strict = markStale(stored({ headers: { 'cache-control': 'max-age=60' } }, rfcShared).stored, NOW);
    expect(judge(strict, {}, NOW, rfcShared).verdict).toBe('revalidate');
  });
});

describe('a request with Authorization', () => {
  const asked = { authorization: 'x' };

  it.each([
    ['max-age=60', 'revalidate'],
    ['max-age=60, public', 'fresh'],
    ['s-maxage=60', 'fresh'],
    ['max-age=60, must-revalidate', 'fresh'],
  ])('S4: what says %s to the world: %s', (cacheControl, expected) => {
    const made = stored({ headers: { 'cache-control': cacheControl } }, rfcShared).stored;
    expect(judge(made, asked, NOW, rfcShared).verdict).toBe(expected);
    expect(judge(made, {}, NOW, rfcShared).verdict).toBe('fresh');
    expect(isShareable(made, asked, NOW, rfcShared)).toBe(expected === 'fresh');
  });

  it('S4: not even in place of an error; a private view has one principal', () => {
    const headers = { 'cache-control': 'max-age=60, stale-if-error=60' };
    expect(judge(stored({ headers }, rfcShared).stored, asked, NOW, rfcShared).isUsableOnError).toBe(false);
    expect(judge(stored({ headers }, rfcPrivate).stored, asked, NOW, rfcPrivate).verdict).toBe('fresh');
    const ignored = ttl({ authorization: 'ignore' });
    expect(judge(stored({}, ignored).stored, asked, NOW, ignored).verdict).toBe('fresh');
  });

  it('F5: who waited is given what is theirs to reuse', () => {
    const share = (headers: Fields, request: Fields): boolean =>
      isShareable(stored({ headers, request: { a: '1' } }, rfcShared).stored, request, NOW, rfcShared);
    expect(share({ 'cache-control': 'max-age=9', vary: 'a' }, { a: '1' })).toBe(true);
    expect(share({ 'cache-control': 'max-age=9', vary: 'a' }, { a: '2' })).toBe(false);
    expect(share({ 'cache-control': 'no-cache', etag: '"a"' }, {})).toBe(false);
    expect(share({ 'cache-control': 'max-age=9' }, { 'cache-control': 'no-cache' })).toBe(false);
  });
});

describe('request directives', () => {
  const swr = 'max-age=60, stale-while-revalidate=30';
  it.each<[string, number, string, string]>([
    ['max-age=60', 10, 'no-cache', 'revalidate'],
    ['max-age=60', 10, 'No-Cache', 'revalidate'],
    ['max-age=60', 10, 'no-store', 'revalidate!'],
    ['max-age=60', 10, 'max-age=0', 'revalidate!'],
    ['max-age=60', 10, 'max-age=9', 'revalidate!'],
    ['max-age=60', 10, 'max-age=10', 'fresh!'],
    ['max-age=60', 10, 'min-fresh=51', 'revalidate!'],
    ['max-age=60', 10, 'min-fresh=50', 'fresh!'],
    ['max-age=60', 70, 'max-stale', 'stale'],
    ['max-age=60', 70, 'max-stale=10', 'stale'],
    ['max-age=60', 70, 'max-stale=9', 'revalidate'],
    ['max-age=60', 70, 'max-stale=x', 'revalidate'],
    ['max-age=60', 70, 'max-stale, max-age=60', 'revalidate'],
    ['max-age=60, must-revalidate', 70, 'max-stale', 'revalidate'],
    ['s-maxage=60', 70, 'max-stale', 'revalidate'],
    ['max-age=60, no-cache', 10, 'max-stale', 'revalidate'],
    ['max-age=60', 70, 'stale-if-error=20', 'revalidate!'],
    ['max-age=60, must-revalidate', 70, 'stale-if-error=20', 'revalidate'],
    [swr, 70, 'max-age=60', 'revalidate'],
    [swr, 70, 'min-fresh=1', 'revalidate'],
    ['max-age=60', 10, 'only-if-cached', 'fresh!'],
    ['max-age=60', 70, 'only-if-cached', 'gateway-timeout'],
    [swr, 70, 'only-if-cached', 'stale'],
    ['max-age=60', 70, 'only-if-cached, max-stale', 'stale'],
    ['max-age=60', 10, 'only-if-cached, no-cache', 'gateway-timeout'],
    ['max-age=60', 10, 'foo', 'fresh!'],
  ])('F3: %s after %d s, asked with %s: %s', (cacheControl, seconds, request, expected) =>
    expect(verdict(cacheControl, seconds, request, rfcShared)).toBe(expected),
  );

  it('F3: are not obeyed in ttl mode, where any client could force work, unless a policy says so', () => {
    for (const request of ['no-cache', 'max-age=0', 'no-store', 'min-fresh=100'])
      expect(verdict('', 10, request, ttlShared)).toBe('fresh!');
    expect(verdict('', 70, 'max-stale', ttlShared)).toBe('revalidate');
    expect(verdict('', 10, 'no-cache', ttl({ clientDirectives: true }))).toBe('revalidate');
    expect(verdict('max-age=60', 10, 'no-cache', rfc({ clientDirectives: false }))).toBe('fresh!');
  });

  it('F3: only-if-cached without anything stored is a 504', () => {
    const asked = { 'cache-control': 'Only-If-Cached' };
    expect(judgeMiss(asked, rfcShared)).toBe('gateway-timeout');
    expect(judgeMiss({}, rfcShared)).toBe('forward');
    expect(judgeMiss(asked, ttlShared)).toBe('forward');
  });
});
