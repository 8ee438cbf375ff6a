import { describe, expect, it } from 'vitest';
import { invalidates, isUnsafe, type Fields } from '../../src/http-semantics/index.js';

const TARGET = 'http://a.example/books/1?x=1#part';

function found(method: string, status = 200, headers: Fields = {}, target = TARGET) {
  return invalidates({ method, headers: {} }, { status, headers }, target);
}

describe('invalidation', () => {
  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'M-SEARCH', 'get', 'NEW'])('I1: %s is unsafe', (method) => {
    expect(isUnsafe(method)).toBe(true);
    expect(found(method).uris).toEqual(['http://a.example/books/1?x=1']);
  });

  it.each(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY', 'PROPFIND'])('I1: %s is safe', (method) => {
    expect(found(method, 200, { location: '/b', 'cache-group-invalidation': '"g"' })).toEqual({ uris: [], groups: [] });
  });

  it('I1: only by answers that are no errors', () => {
    for (const status of [200, 201, 204, 301, 303]) expect(found('PUT', status).uris.length).toBe(1);
    for (const status of [100, 400, 404, 409, 500, 503])
      expect(found('PUT', status, { location: '/b' }).uris).toEqual([]);
  });

  it('I1: Location and Content-Location of the same origin (nginx, varnish, got, ocache, Nest: none)', () => {
    expect(found('POST', 201, { location: '2', 'content-location': 'http://a.example:80/books/3#x' }).uris).toEqual([
      'http://a.example/books/1?x=1',
      'http://a.example/books/2',
      'http://a.example/books/3',
    ]);
  });

  it.each(['http://b.example/', 'https://a.example/', 'http://a.example:81/', '//b.example/', 'data:x', 'http://['])(
    'I1: not %s, which is of another origin or of none',
    (location) => expect(found('POST', 201, { location }).uris).toEqual(['http://a.example/books/1?x=1']),
  );

  it('I2: names URIs, not variants or methods, so that every fill under way of them is voided too', () => {
    expect(found('PUT', 200, { vary: 'Accept' }).uris).toEqual(['http://a.example/books/1?x=1']);
  });

  it('I1: a target that is no URI invalidates nothing', () => expect(found('PUT', 200, {}, '/x').uris).toEqual([]));

  it('I4: groups, on answers to unsafe methods', () => {
    const headers = { 'cache-group-invalidation': '"books", "book:1"' };
    expect(found('POST', 200, headers).groups).toEqual(['books', 'book:1']);
    expect(found('POST', 500, headers)).toEqual({ uris: [], groups: ['books', 'book:1'] });
    expect(found('GET', 200, headers).groups).toEqual([]);
    expect(found('POST', 200, { 'cache-group-invalidation': 'books' }).groups).toEqual([]);
  });
});
