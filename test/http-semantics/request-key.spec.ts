import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bypass,
  canonicalQuery,
  formatNoVarySearch,
  noVarySearch,
  primaryKey,
  REWRITING_FIELDS,
  type KeyParts,
} from '../../src/http-semantics/index.js';
import { rfcPrivate, rfcShared, ttl, ttlPrivate, ttlShared } from './exchange.js';

const parts: KeyParts = { stamp: 'v1', scheme: 'http', authority: 'a.example', path: '/x', query: '' };

describe('the primary key', () => {
  it.each<[string, Partial<KeyParts>]>([
    ['stamp', { stamp: 'v2' }],
    ['scheme', { scheme: 'https' }],
    ['host (Nest CacheInterceptor)', { authority: 'b.example' }],
    ['case of the path (ASP.NET)', { path: '/X' }],
    ['encoded slash', { path: '/%2Fx' }],
    ['double slash', { path: '//x' }],
    ['query', { query: 'a=1' }],
    ['handler', { handler: 'A.b' }],
    ['principal', { principal: 'u1' }],
    ['empty principal', { principal: '' }],
  ])('K1 K4 K5: differs by %s', (_, other) => expect(primaryKey({ ...parts, ...other })).not.toBe(primaryKey(parts)));

  it('K1: scheme and authority have no case', () => {
    expect(primaryKey({ ...parts, scheme: 'HTTP', authority: 'A.Example' })).toBe(primaryKey(parts));
  });

  it('K3: no part can imitate the end of another', () => {
    const unit = fc.constantFrom(':', '-', '1', '2', 'a');
    const text = fc.array(unit, { minLength: 2, maxLength: 8 }).map((all) => all.join(''));
    fc.assert(
      fc.property(text, fc.nat(8), fc.nat(8), (all, i, j) => {
        fc.pre(Math.min(i, all.length) !== Math.min(j, all.length));
        const [a, b] = [i, j].map((at) => primaryKey({ ...parts, path: all.slice(0, at), query: all.slice(at) }));
        const colon = [i, j].map((at) => primaryKey({ ...parts, path: `${all.slice(0, at)}:`, query: all.slice(at) }));
        expect(new Set([a, b, ...colon]).size).toBe(4);
      }),
    );
    const key = (path: string, query: string): string => primaryKey({ ...parts, path, query });
    expect(key('a:b', 'c')).not.toBe(key('a', 'b:c'));
    expect(key('a1:b', 'c')).not.toBe(key('a', 'b1:c'));
  });

  it('K3: is injective over its parts', () => {
    const part = fc.string({ unit: fc.constantFrom('1', ':', '-', 'a', '?'), maxLength: 4 });
    const some = fc.record({
      stamp: part,
      scheme: part,
      authority: part,
      path: part,
      query: part,
      handler: part,
      principal: part,
    });
    fc.assert(
      fc.property(some, some, (a, b) => {
        expect(primaryKey(a) === primaryKey(b)).toBe(
          JSON.stringify(Object.values(a)) === JSON.stringify(Object.values(b)),
        );
      }),
      { numRuns: 3000 },
    );
  });
});

describe('the query', () => {
  it.each([
    ['K2: as it is by default', 'b=2&a=1&b=1', {}, 'b=2&a=1&b=1'],
    ['K2: sorted by name, values in order', 'b=2&a=1&b=1', { isSorted: true }, 'a=1&b=2&b=1'],
    ['K2: allowed ones', 'utm=1&page=2&x', { allow: ['page', 'x'] }, 'page=2&x'],
    ['K2: none allowed', 'utm=1', { allow: [] }, ''],
    ['K2: ignored ones', 'utm=1&page=2', { ignore: ['utm'] }, 'page=2'],
    [
      'K2: names are compared decoded, kept as spelled',
      'p%61ge=%32&u+x=1',
      { allow: ['page', 'u x'] },
      'p%61ge=%32&u+x=1',
    ],
    ['K2: a broken escape is a name like any other', '%zz=1', { ignore: ['a'] }, '%zz=1'],
    ['K2: ; separates nothing (CVE-2021-23336)', 'a=1;b=2', { ignore: ['b'] }, 'a=1;b=2'],
  ])('%s', (_, query, rules, expected) => expect(canonicalQuery(query, rules)).toBe(expected));

  it('K8: No-Vary-Search names what does not count', () => {
    const read = (text: string): unknown => noVarySearch({ 'no-vary-search': text });
    expect(read('params=("utm" "ref"), key-order')).toEqual({ ignore: ['utm', 'ref'], isSorted: true });
    expect(read('except=("page")')).toEqual({ allow: ['page'] });
    expect(read('except=()')).toEqual({ allow: [] });
    for (const invalid of [
      'params',
      'params=?0',
      'params="a"',
      'params=(a)',
      'params=("a"), except=("b")',
      'key-order=1',
      '(',
    ])
      expect(read(invalid)).toEqual({});
    expect(noVarySearch({})).toEqual({});
  });

  it('K8: and is written from the rules of a route', () => {
    for (const rules of [{ allow: ['a', 'b"'], isSorted: true }, { ignore: ['c'] }, { allow: [] }])
      expect(noVarySearch({ 'no-vary-search': formatNoVarySearch(rules) as string })).toEqual(rules);
    expect(formatNoVarySearch({})).toBeUndefined();
  });
});

describe('requests that pass the cache by', () => {
  const get = (headers: Record<string, string> = {}, method = 'GET') => ({ method, headers });

  it('S1 K4: all but GET and HEAD', () => {
    for (const method of ['GET', 'HEAD']) expect(bypass(get({}, method), ttlShared)).toBeUndefined();
    for (const method of ['POST', 'PUT', 'OPTIONS', 'get', 'QUERY'])
      expect(bypass(get({}, method), ttlShared)).toBe('method');
  });

  it('K5: a private view without a principal; never "anonymous"', () => {
    for (const policy of [ttlPrivate, rfcPrivate]) {
      expect(bypass(get(), policy)).toBe('no-principal');
      expect(bypass(get(), policy, '')).toBe('no-principal');
      expect(bypass(get({ authorization: 'x' }), policy, 'u1')).toBeUndefined();
    }
  });

  it('K7: a GET with a body (nginx, httpd, apicache, undici can be poisoned)', () => {
    expect(bypass(get({ 'content-length': '3' }), ttlShared)).toBe('body');
    expect(bypass(get({ 'transfer-encoding': 'chunked' }), rfcShared)).toBe('body');
    expect(bypass(get({ 'content-length': '0' }), rfcShared)).toBeUndefined();
  });

  it('S4: Authorization in ttl mode, unless declared irrelevant; not in rfc mode, where the response says', () => {
    expect(bypass(get({ authorization: 'x' }), ttlShared)).toBe('authorization');
    expect(bypass(get({ authorization: 'x' }), ttl({ authorization: 'ignore' }))).toBeUndefined();
    expect(bypass(get({ authorization: 'x' }), rfcShared)).toBeUndefined();
  });

  it('C1: If-Match asks the origin; S10: an upgrade is no request for a representation', () => {
    expect(bypass(get({ 'if-match': '"a"' }), rfcShared)).toBe('precondition');
    expect(bypass(get({ 'if-unmodified-since': 'x' }), rfcShared)).toBe('precondition');
    expect(bypass(get({ 'if-match': '"a"' }), ttlShared)).toBeUndefined();
    expect(bypass(get({ upgrade: 'websocket', connection: 'keep-alive, Upgrade' }), ttlShared)).toBe('upgrade');
  });

  it('K6: fields that rewrite the request are listed, to be kept from handlers', () => {
    for (const name of ['x-forwarded-host', 'x-original-url', 'x-rewrite-url', 'x-http-method-override', 'x-host'])
      expect(REWRITING_FIELDS.has(name)).toBe(true);
  });
});
