import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ageAt, judge, remainingAt, type CachePolicy, type Fields } from '../../src/http-semantics/index.js';
import { date, NOW, outcome, rfc, rfcPrivate, rfcShared, SECOND, stored, ttl, ttlShared } from './exchange.js';

const TAG = { etag: '"a"' };

/** Freshness in seconds on arrival; at most 0 where it came stale. The tag lets it be stored all the same. */
function remaining(headers: Fields, policy: CachePolicy = rfcShared, delay = 0): number {
  return remainingAt(stored({ headers: { ...TAG, ...headers }, delay }, policy).stored, NOW) / SECOND;
}

describe('freshness lifetime', () => {
  it.each<[string, Fields, number]>([
    ['max-age', { 'cache-control': 'max-age=3600' }, 3600],
    ['s-maxage over a longer max-age', { 'cache-control': 'max-age=3600, s-maxage=1' }, 1],
    ['s-maxage over a shorter max-age', { 'cache-control': ['max-age=1', 's-maxage=3600'] }, 3600],
    ['max-age over a past Expires', { 'cache-control': 'max-age=60', expires: date(-100), date: date() }, 60],
    ['max-age over an invalid Expires', { 'cache-control': 'max-age=60', expires: '0', date: date() }, 60],
    ['max-age=0 over a future Expires', { 'cache-control': 'max-age=0', expires: date(100), date: date() }, 0],
    ['Expires less Date', { expires: date(100), date: date() }, 100],
    [
      'Expires in the year 2050',
      { expires: 'THU, 18 AUG 2050 02:01:18 gmt', date: date() },
      (Date.UTC(2050, 7, 18, 2, 1, 18) - NOW) / 1000,
    ],
    ['a present Expires', { expires: date(), date: date() }, 0],
    ['a past Expires', { expires: date(-100), date: date() }, 0],
    ['Expires before a Date ahead of us', { expires: date(300), date: date(400) }, 0],
    ['an invalid Expires (nginx)', { expires: '0', date: date() }, 0],
    ['an invalid Expires, whatever heuristics say', { expires: '0', 'last-modified': date(-1000), date: date() }, 0],
    ['two Expires', { expires: [date(100), date(200)], date: date() }, 0],
    ['Expires with an invalid Date', { expires: date(10), date: 'foo' }, 10],
    ['conflicting max-age: stale', { 'cache-control': 'max-age=1800, max-age=1' }, 0],
    ['a tenth of the time since Last-Modified', { 'last-modified': date(-1000), date: date() }, 100],
    ['no more than a day by heuristics', { 'last-modified': date(-10_000_000), date: date() }, 86_400],
    ['Last-Modified ahead', { 'last-modified': date(1000), date: date() }, 0],
    ['nothing', {}, 0],
    ['2^31 seconds at most', { 'cache-control': 'max-age=99999999999' }, 2_147_483_648],
  ])('F1: %s', (_, headers, expected) => expect(remaining(headers)).toBe(expected));

  it.each<[string, Fields, number | string]>([
    ['max-age', { 'cdn-cache-control': 'max-age=3600' }, 3600],
    ['long over short', { 'cdn-cache-control': 'max-age=3600', 'cache-control': 'max-age=1' }, 3600],
    ['short over long', { 'cdn-cache-control': 'max-age=1', 'cache-control': 'max-age=3600' }, 1],
    ['past Expires ignored', { 'cdn-cache-control': 'max-age=60', expires: date(-9), date: date() }, 60],
    ['max-age=0 over a future Expires', { 'cdn-cache-control': 'max-age=0', expires: date(99) }, 0],
    ['past Expires ignored where nothing else is said', { 'cdn-cache-control': 'foo', expires: date(99) }, 0],
    ['an extension', { 'cdn-cache-control': 'foobar, max-age=60' }, 60],
    ['beyond 2^31', { 'cdn-cache-control': 'max-age=99999999999' }, 2_147_483_648],
    ['over no-store in Cache-Control', { 'cdn-cache-control': 'max-age=60', 'cache-control': 'no-store' }, 60],
    ['no-store', { 'cdn-cache-control': 'no-store', 'cache-control': 'max-age=60' }, 'no-store'],
    ['private', { 'cdn-cache-control': 'private', 'cache-control': 'max-age=60' }, 'private'],
    ['private="a"', { 'cdn-cache-control': 'private="a", max-age=9', 'cache-control': 'max-age=60' }, 9],
    ['private=" "', { 'cdn-cache-control': 'private=" ", max-age=9', 'cache-control': 'max-age=60' }, 'private'],
    ['no Dictionary: ignored', { 'cdn-cache-control': 'max-age=9, &&&&&', 'cache-control': 'no-store' }, 'no-store'],
    ['wrong type: ignored', { 'cdn-cache-control': 'max-age="9"', 'cache-control': 'no-store' }, 'no-store'],
    ['wrong type of a flag: ignored', { 'cdn-cache-control': 'no-store=1', 'cache-control': 'max-age=5' }, 5],
    ['negative: ignored', { 'cdn-cache-control': 'max-age=-9', 'cache-control': 'max-age=5' }, 5],
    ['space before =: ignored', { 'cdn-cache-control': 'max-age =100', 'cache-control': 'max-age=1' }, 1],
    ['upper case: ignored', { 'cdn-cache-control': 'MaX-aGe=100', 'cache-control': 'max-age=1' }, 1],
    ['empty: ignored', { 'cdn-cache-control': '', 'cache-control': 'max-age=1' }, 1],
    ['?0 is not said', { 'cdn-cache-control': 'no-store=?0, max-age=7' }, 7],
  ])('F1: CDN-Cache-Control, %s (no peer passes any)', (_, headers, expected) => {
    if (typeof expected === 'number') expect(remaining(headers)).toBe(expected);
    else expect(outcome({ headers }, rfcShared)).toBe(expected);
  });

  it('F1: a list of targets, the first valid one counts; a private cache has none', () => {
    const headers = {
      'app-cache-control': 'max-age=5',
      'cdn-cache-control': 'max-age=6',
      'cache-control': 'max-age=7',
    };
    expect(remaining(headers, rfc({ targets: ['App-Cache-Control', 'CDN-Cache-Control'] }))).toBe(5);
    expect(
      remaining({ ...headers, 'app-cache-control': '=' }, rfc({ targets: ['App-Cache-Control', 'CDN-Cache-Control'] })),
    ).toBe(6);
    expect(remaining(headers, rfcPrivate)).toBe(7);
  });

  it('F1: CDN-Cache-Control: no-cache is validated before each use', () => {
    const headers = { ...TAG, 'cdn-cache-control': 'no-cache', 'cache-control': 'max-age=1000' };
    expect(judge(stored({ headers }, rfcShared).stored, {}, NOW, rfcShared).verdict).toBe('revalidate');
  });

  it('F1: s-maxage is nothing to a private cache', () => {
    expect(remaining({ 'cache-control': 's-maxage=3600, max-age=1' }, rfcPrivate)).toBe(1);
  });

  it('F1: a policy bounds what headers give and stands in where they are silent', () => {
    expect(remaining({ 'cache-control': 'max-age=1' }, rfc({ atLeast: 60_000 }))).toBe(60);
    expect(remaining({ 'cache-control': 'max-age=100' }, rfc({ atMost: 60_000 }))).toBe(60);
    expect(remaining({}, rfc({ freshFor: 30_000 }))).toBe(30);
    expect(remaining({ 'cache-control': 'max-age=5' }, rfc({ freshFor: 30_000 }))).toBe(5);
    expect(outcome({}, rfc({ freshFor: 30_000 }))).toBe('stored');
    expect(remaining({ 'last-modified': date(-1000) }, rfc({ heuristic: false }))).toBe(0);
  });

  it('F1: in ttl mode the policy decides, from now, whatever headers say of time', () => {
    for (const headers of [
      {},
      { 'cache-control': 'max-age=5' },
      { age: '7200' },
      { date: date(-500) },
      { expires: '0' },
    ])
      expect(remaining(headers, ttlShared)).toBe(60);
    expect(remaining({}, ttl({ freshFor: Infinity }))).toBe(2_147_483_648);
  });
});

describe('age', () => {
  it.each<[string, Fields, number, number]>([
    ['none', {}, 0, 0],
    ['Age', { age: '30' }, 0, 30],
    ['Age and the delay of the response', { age: '30' }, 2, 32],
    ['Date', { date: date(-10) }, 0, 10],
    ['Age over a younger Date', { date: date(-10), age: '25' }, 0, 25],
    ['Age with a Date ahead', { date: date(10), age: '15' }, 0, 15],
    ['Date over a younger Age', { date: date(-100), age: '25' }, 0, 100],
    ['the first member', { age: '7200,0' }, 0, 7200],
    ['the first line', { age: ['7200', '0'] }, 0, 7200],
    ['the first member, if 0', { age: '0, 7200' }, 0, 0],
    ['not numeric: ignored (undici: infinitely old)', { age: 'abc' }, 0, 0],
    ['negative: ignored', { age: '-7200' }, 0, 0],
    ['fractional: ignored', { age: '7200.0' }, 0, 0],
    ['with a parameter: ignored', { age: '7200;foo=bar' }, 0, 0],
    ['quoted: ignored', { age: '"7200"' }, 0, 0],
    ['beyond 2^31', { age: '99999999999' }, 0, 2_147_483_648],
  ])('F2: %s', (_, headers, delay, expected) => {
    const made = stored({ headers: { ...TAG, ...headers }, delay: delay * SECOND }, rfcShared).stored;
    expect(ageAt(made, NOW) / SECOND).toBe(expected);
    expect(ageAt(made, NOW + 2500) / SECOND).toBe(expected + 2.5);
  });

  it('F2: Age beyond the lifetime: stale on arrival (nginx)', () => {
    const headers = { date: date(), 'cache-control': 'max-age=3600', age: '7200' };
    expect(remaining(headers)).toBe(-3600);
    expect(remaining({ date: date(-10), expires: date(10), age: '25' })).toBe(-5);
    expect(remaining({ date: date(10), expires: date(20), age: '15' })).toBe(-5);
  });

  it('F2: never shrinks while time passes, and freshness never grows', () => {
    const header = fc.record({
      age: fc.oneof(fc.nat(9999).map(String), fc.constantFrom('', 'x', '5, 6')),
      date: fc.oneof(fc.integer({ min: -9999, max: 9999 }).map(date), fc.constant('x')),
      'cache-control': fc.oneof(
        fc.nat(9999).map((s) => `max-age=${s}`),
        fc.constant(''),
      ),
    });
    fc.assert(
      fc.property(header, fc.nat(5000), fc.array(fc.nat(100_000), { minLength: 2 }), (headers, delay, steps) => {
        const made = stored({ headers: { ...TAG, ...headers }, delay }, rfcShared).stored;
        let now = NOW;
        let age = ageAt(made, now);
        let left = remainingAt(made, now);
        expect(age).toBeGreaterThanOrEqual(0);
        for (const step of steps) {
          now += step;
          expect(ageAt(made, now) - age).toBe(step);
          expect(left - remainingAt(made, now)).toBe(step);
          age += step;
          left -= step;
        }
      }),
    );
  });

  it('F2: a clock set back makes nothing younger than new', () => {
    const made = stored({ headers: { 'cache-control': 'max-age=60' } }, rfcShared).stored;
    expect(ageAt(made, NOW - 1_000_000)).toBe(0);
    expect(remainingAt(made, NOW - 1_000_000)).toBe(60_000);
  });
});
