import { describe, expect, it } from 'vitest';
import {
  evaluatePreconditions,
  forwardedFields,
  merge304,
  mergeHead,
  notModified,
  range,
  ageAt,
  remainingAt,
  type Fields,
} from '../../src/http-semantics/index.js';
import { date, exchange, NOW, rfc, rfcPrivate, rfcShared, SECOND, stored, ttl, ttlShared } from './exchange.js';

const FRESH = { 'cache-control': 'max-age=60' };

/** What a condition makes of a stored response with these fields. */
function outcome(headers: Fields, condition: Fields, method = 'GET', status = 200): string {
  const made = stored({ status, headers: { ...FRESH, date: date(), ...headers } }, rfcShared).stored;
  return evaluatePreconditions(made, { method, headers: condition }, NOW);
}

describe('conditional requests', () => {
  it.each<[string, Fields, Fields, string]>([
    ['no condition', { etag: '"a"' }, {}, 'send'],
    ['the same tag', { etag: '"a"' }, { 'if-none-match': '"a"' }, 'not-modified'],
    ['another tag', { etag: '"a"' }, { 'if-none-match': '"b"' }, 'send'],
    ['weak against weak', { etag: 'W/"a"' }, { 'if-none-match': 'W/"a"' }, 'not-modified'],
    ['weak against strong', { etag: '"a"' }, { 'if-none-match': 'W/"a"' }, 'not-modified'],
    ['strong against weak (drf-extensions)', { etag: 'W/"a"' }, { 'if-none-match': '"a"' }, 'not-modified'],
    ['the first of a list', { etag: '"a"' }, { 'if-none-match': '"a", "b"' }, 'not-modified'],
    ['the last of a list', { etag: '"a"' }, { 'if-none-match': 'W/"c","b" , "a"' }, 'not-modified'],
    ['a list in two lines', { etag: '"a"' }, { 'if-none-match': ['"b"', '"a"'] }, 'not-modified'],
    ['a comma within', { etag: '"a,b"' }, { 'if-none-match': '"x", "a,b"' }, 'not-modified'],
    ['half of a tag with a comma', { etag: '"b"' }, { 'if-none-match': '"a,"b""' }, 'send'],
    ['*', {}, { 'if-none-match': ' * ' }, 'not-modified'],
    ['no quotes', { etag: '"a"' }, { 'if-none-match': 'a' }, 'send'],
    ['no tag stored', {}, { 'if-none-match': '"a"' }, 'send'],
    [
      'If-None-Match before If-Modified-Since',
      { etag: '"a"', 'last-modified': date(-5000) },
      { 'if-none-match': '"b"', 'if-modified-since': date() },
      'send',
    ],
    [
      'If-None-Match though If-Modified-Since is older',
      { etag: '"a"', 'last-modified': date(-5000) },
      { 'if-none-match': '"a"', 'if-modified-since': date(-9000) },
      'not-modified',
    ],
    ['the same date', { 'last-modified': date(-3000) }, { 'if-modified-since': date(-3000) }, 'not-modified'],
    ['a later date', { 'last-modified': date(-3000) }, { 'if-modified-since': date(-2000) }, 'not-modified'],
    ['an earlier date', { 'last-modified': date(-3000) }, { 'if-modified-since': date(-3001) }, 'send'],
    ['no Last-Modified: its Date says nothing of the one before it', {}, { 'if-modified-since': date() }, 'send'],
    ['no Last-Modified, and a time to come', {}, { 'if-modified-since': date(9000) }, 'send'],
    ['no date', { 'last-modified': date(-3000) }, { 'if-modified-since': 'x' }, 'send'],
    ['If-Match of the same tag', { etag: '"a"' }, { 'if-match': '"b", "a"' }, 'send'],
    ['If-Match of another tag', { etag: '"a"' }, { 'if-match': '"b"' }, 'precondition-failed'],
    ['If-Match is strong', { etag: 'W/"a"' }, { 'if-match': 'W/"a"' }, 'precondition-failed'],
    ['If-Match: *', {}, { 'if-match': '*' }, 'send'],
    [
      'If-Match before If-None-Match',
      { etag: '"a"' },
      { 'if-match': '"b"', 'if-none-match': '"a"' },
      'precondition-failed',
    ],
    ['If-Match, then If-None-Match', { etag: '"a"' }, { 'if-match': '"a"', 'if-none-match': '"a"' }, 'not-modified'],
    ['modified since', { 'last-modified': date(-10) }, { 'if-unmodified-since': date(-20) }, 'precondition-failed'],
    ['unmodified since', { 'last-modified': date(-10) }, { 'if-unmodified-since': date(-10) }, 'send'],
    [
      'If-Match before If-Unmodified-Since',
      { etag: '"a"', 'last-modified': date(-10) },
      { 'if-match': '"a"', 'if-unmodified-since': date(-20) },
      'send',
    ],
  ])('C1: %s', (_, headers, condition, expected) => expect(outcome(headers, condition)).toBe(expected));

  it('C1: for HEAD as for GET, 412 for other methods', () => {
    expect(outcome({ etag: '"a"' }, { 'if-none-match': '"a"' }, 'HEAD')).toBe('not-modified');
    expect(outcome({ etag: '"a"' }, { 'if-none-match': '"a"' }, 'PUT')).toBe('precondition-failed');
    expect(outcome({}, { 'if-modified-since': date() }, 'PUT')).toBe('send');
  });

  it('C1: only what would be a 2xx is not modified', () => {
    for (const status of [301, 404, 500])
      expect(outcome({ etag: '"a"' }, { 'if-none-match': '"a"' }, 'GET', status)).toBe('send');
  });

  it('C1: notModified is the short form', () => {
    const made = stored({ headers: { ...FRESH, etag: '"a"' } }, rfcShared).stored;
    expect(notModified(made, { method: 'GET', headers: { 'if-none-match': '"a"' } }, NOW)).toBe(true);
    expect(notModified(made, { method: 'GET', headers: {} }, NOW)).toBe(false);
  });

  it('C1: a client has its conditions answered here; none reaches the handler that fills', () => {
    const request = {
      'if-none-match': '"x"',
      'if-modified-since': date(),
      'if-match': '*',
      'if-unmodified-since': date(),
      'if-range': '"x"',
      range: 'bytes=0-1',
      connection: 'x-hop',
      'x-hop': '1',
      te: 'trailers',
      accept: '*/*',
    };
    expect({ ...forwardedFields(request) }).toEqual({ accept: '*/*' });
  });

  it('C3: validation sends the stored validators, and whatever Vary names; no Last-Modified is invented (undici, ocache)', () => {
    const made = stored({ headers: { ...FRESH, etag: 'W/"a"', vary: 'Abc' }, request: { abc: '1' } }, rfcShared).stored;
    expect({ ...forwardedFields({ abc: '1', 'if-none-match': '"mine"' }, made) }).toEqual({
      abc: '1',
      'if-none-match': 'W/"a"',
    });
    const modified = 'Saturday, 21-Nov-26 07:00:00 GMT';
    const dated = stored({ headers: { ...FRESH, 'last-modified': modified } }, rfcShared).stored;
    expect({ ...forwardedFields({}, dated) }).toEqual({ 'if-modified-since': modified });
  });
});

describe('a 304', () => {
  const later = NOW + 100 * SECOND;
  const before: Fields = {
    'cache-control': 'max-age=60',
    etag: '"a"',
    date: date(),
    'content-type': 'text/plain',
    'content-length': '5',
    'content-encoding': 'x',
    'x-old': '1',
    'x-both': '1',
  };

  function merged(answer: Fields, policy = rfcShared, headers: Fields = before) {
    const made = stored({ headers }, policy);
    return merge304(made.stored, made.headers, exchange({ status: 304, headers: answer, at: later }), policy);
  }

  it('C3: replaces fields, adds those that were not there (http-cache-semantics), keeps those of the body', () => {
    const result = merged({
      date: date(100),
      etag: '"a"',
      'x-both': '2',
      'x-new': '3',
      'content-type': 'x/y',
      'content-length': '0',
      'content-encoding': 'gzip',
      'content-range': 'bytes 0-1/2',
      connection: 'x-hop',
      'x-hop': '1',
      'set-cookie': 'a=b',
    });
    expect({ ...result?.headers }).toEqual({ ...before, 'x-both': '2', 'x-new': '3', date: date(100) });
  });

  it('C3: bare, it makes the response fresh again (undici revalidates for ever)', () => {
    const result = merged({});
    expect(remainingAt(result!.stored!, later)).toBe(60_000);
    expect(ageAt(result!.stored!, later)).toBe(0);
    expect(result?.headers['date']).toBe(date(100));
    expect(result?.headers['etag']).toBe('"a"');
  });

  it('C3: with a Date and an Age of its own, these count', () => {
    expect(ageAt(merged({ date: date(90) })!.stored!, later)).toBe(10_000);
    const aged = merged({ date: date(100), age: '20' });
    expect(ageAt(aged!.stored!, later)).toBe(20_000);
    expect(aged?.headers['age']).toBeUndefined();
  });

  it('C3: new directives count', () => {
    expect(remainingAt(merged({ 'cache-control': 'max-age=3600' })!.stored!, later)).toBe(3_600_000);
    expect(
      remainingAt(merged({ expires: date(1000) }, rfcShared, { etag: '"a"', expires: date(1) })!.stored!, later),
    ).toBe(900_000);
  });

  it('C3: in ttl mode the lifetime of the policy starts anew', () => {
    const headers = { etag: '"a"', 'content-type': 'text/plain' };
    expect(remainingAt(merged({}, ttlShared, headers)!.stored!, later)).toBe(60_000);
  });

  it('C3: that withdraws permission answers this request and ends the entry', () => {
    for (const [cacheControl, reason] of [
      ['no-store', 'no-store'],
      ['Private', 'private'],
    ] as const) {
      const result = merged({ 'cache-control': cacheControl });
      expect(result).toMatchObject({
        reason,
        isWithdrawn: true,
        headers: { 'cache-control': cacheControl, 'x-old': '1' },
      });
      expect(result?.stored).toBeUndefined();
    }
  });

  it('C3 S4: to a request whose answer must not be stored, it answers that request; the entry stays as it was', () => {
    for (const request of [{ authorization: 'x' }, { 'cache-control': 'no-store' }]) {
      const made = stored({ headers: before }, rfcShared);
      const result = merge304(made.stored, made.headers, exchange({ status: 304, request, at: later }), rfcShared);
      expect(result).toMatchObject({ isWithdrawn: false, headers: { date: date(100), 'x-old': '1' } });
      expect(result?.stored).toBeUndefined();
    }
  });

  it('C3: with the strong tag of another representation, it confirms nothing', () => {
    expect(merged({ etag: '"b"' })).toBeUndefined();
    expect(merged({ etag: 'W/"a"' })).toBeDefined();
    expect(merged({ etag: '"b"' }, rfcShared, { ...FRESH, 'last-modified': date(-50) })).toBeDefined();
  });

  it('C3: keeps status and selection', () => {
    const made = stored({ status: 203, headers: { ...before, vary: 'Abc' }, request: { abc: '1' } }, rfcShared);
    const result = merge304(
      made.stored,
      made.headers,
      exchange({ status: 304, at: later, request: { abc: '1', 'if-none-match': '"a"' } }),
      rfcShared,
    );
    expect(result?.stored).toMatchObject({ status: 203, vary: [['abc', '1']], etag: '"a"' });
  });
});

describe('HEAD', () => {
  const headers = { ...FRESH, etag: '"a"', 'content-length': '5', 'x-old': '1' };

  function head(answer: Fields, status = 200) {
    const made = stored({ headers }, rfcShared);
    return mergeHead(
      made.stored,
      made.headers,
      exchange({ method: 'HEAD', status, headers: answer, at: NOW + 30_000 }),
      rfcShared,
    );
  }

  it('C4: one that agrees freshens the stored GET, keeping what it does not mention', () => {
    const effect = head({ etag: '"a"', 'content-length': '5', 'cache-control': 'max-age=1000', 'x-new': '2' });
    expect(effect).toMatchObject({ isConfirmed: true, headers: { 'x-old': '1', 'x-new': '2' } });
    expect(remainingAt(effect!.stored!, NOW + 30_000)).toBe(1_000_000);
  });

  it.each<[string, Fields]>([
    ['tag', { etag: '"b"' }],
    ['length', { 'content-length': '6' }],
    ['date', { 'last-modified': date() }],
  ])('C4: one that disagrees by %s makes it stale', (_, answer) => {
    const effect = head(answer);
    expect(effect?.isConfirmed).toBe(false);
    expect(remainingAt(effect!.stored!, NOW + 30_000)).toBe(0);
  });

  it('C4: other answers say nothing about it', () => {
    for (const status of [304, 404, 410, 500]) expect(head({}, status)).toBeUndefined();
  });
});

describe('ranges', () => {
  const made = stored(
    { headers: { ...FRESH, etag: '"a"', date: date(), 'last-modified': date(-100) } },
    rfcShared,
  ).stored;

  function cut(field: string, length = 11, condition: Fields = {}, method = 'GET') {
    const outcome = range(made, { method, headers: { range: field, ...condition } }, length, NOW);
    return outcome.part === 'range' ? `${outcome.start}-${outcome.end}` : outcome.part;
  }

  it.each([
    ['bytes=0-1', 11, '0-2'],
    ['bytes=1-', 11, '1-11'],
    ['bytes=-1', 11, '10-11'],
    ['bytes=-20', 11, '0-11'],
    ['bytes=5-100', 11, '5-11'],
    ['bytes=10-10', 11, '10-11'],
    ['Bytes= 0-1 ', 11, '0-2'],
    ['bytes=0-99999999999999999999', 11, '0-11'],
    ['bytes=11-', 11, 'unsatisfiable'],
    ['bytes=99999999999999999999-', 11, 'unsatisfiable'],
    ['bytes=-0', 11, 'unsatisfiable'],
    ['bytes=0-', 0, 'unsatisfiable'],
    ['bytes=0-1,3-4', 11, 'full'],
    ['bytes=5-1', 11, 'full'],
    ['bytes=-', 11, 'full'],
    ['bytes=', 11, 'full'],
    ['bytes=a-b', 11, 'full'],
    ['items=0-1', 11, 'full'],
    ['bytes 0-1', 11, 'full'],
  ])('C5: %s of %d bytes: %s', (field, length, expected) => expect(cut(field, length)).toBe(expected));

  it('C5: Content-Range', () => {
    const request = (field: string) => ({ method: 'GET', headers: { range: field } });
    expect(range(made, request('bytes=2-3'), 11, NOW)).toEqual({
      part: 'range',
      start: 2,
      end: 4,
      contentRange: 'bytes 2-3/11',
    });
    expect(range(made, request('bytes=11-'), 11, NOW)).toEqual({ part: 'unsatisfiable', contentRange: 'bytes */11' });
  });

  it('C5: If-Range by strong comparison, else all of it', () => {
    expect(cut('bytes=0-1', 11, { 'if-range': '"a"' })).toBe('0-2');
    expect(cut('bytes=0-1', 11, { 'if-range': '"b"' })).toBe('full');
    expect(cut('bytes=0-1', 11, { 'if-range': 'W/"a"' })).toBe('full');
    expect(cut('bytes=0-1', 11, { 'if-range': date(-100) })).toBe('0-2');
    expect(cut('bytes=0-1', 11, { 'if-range': date(-99) })).toBe('full');
    expect(cut('bytes=0-1', 11, { 'if-range': 'x' })).toBe('full');
    const young = stored({ headers: { ...FRESH, date: date(), 'last-modified': date() } }, rfcShared).stored;
    expect(range(young, { method: 'GET', headers: { range: 'bytes=0-1', 'if-range': date() } }, 9, NOW).part).toBe(
      'full',
    );
  });

  it('C5: only of a 200 to GET', () => {
    expect(cut('bytes=0-1', 11, {}, 'HEAD')).toBe('full');
    const missing = stored({ status: 404, headers: FRESH }, rfcShared).stored;
    expect(range(missing, { method: 'GET', headers: { range: 'bytes=0-1' } }, 9, NOW).part).toBe('full');
  });
});

// Policies that a merge must carry through; kept here so that a new default cannot slip by unseen.
describe('a 304 under other policies', () => {
  it('C3: private view keeps private', () => {
    const made = stored({ headers: { 'cache-control': 'private, max-age=1', etag: '"a"' } }, rfcPrivate);
    const result = merge304(made.stored, made.headers, exchange({ status: 304, at: NOW + 5000 }), rfcPrivate);
    expect(remainingAt(result!.stored!, NOW + 5000)).toBe(1000);
  });

  it('C3: bounds of the policy hold after it', () => {
    const policy = rfc({ atLeast: 10_000 });
    const made = stored({ headers: { 'cache-control': 'max-age=1', etag: '"a"' } }, policy);
    const result = merge304(made.stored, made.headers, exchange({ status: 304, at: NOW + 50_000 }), policy);
    expect(remainingAt(result!.stored!, NOW + 50_000)).toBe(10_000);
    const negative = ttl({ negative: { freshFor: 1000 } });
    const missing = stored({ status: 404, headers: { etag: '"a"' } }, negative);
    const again = merge304(missing.stored, missing.headers, exchange({ status: 304, at: NOW + 5000 }), negative);
    expect(remainingAt(again!.stored!, NOW + 5000)).toBe(1000);
  });
});
