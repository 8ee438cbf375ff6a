import { Controller, Get, Param, Post, VersioningType, All } from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import { byCookies, byHeaders, byLocale, byAccept } from '../../../src/http/keys/header.components.js';
import { byVersion, custom } from '../../../src/http/keys/custom.components.js';
import { byUser } from '../../../src/http/keys/principal.components.js';
import { byPagination, byQuery } from '../../../src/http/keys/query.components.js';
import { byParams, byRoute, byUrl } from '../../../src/http/keys/route.components.js';
import type { ResponseCachePolicy } from '../../../src/http/policy/response-cache.policy.js';
import { closeAll, probe, PLATFORMS, type Asking } from './probe.js';

afterEach(closeAll);

@Controller('books')
class BooksController {
  @Get()
  list() {
    return [];
  }
  @Post()
  create() {
    return {};
  }
  @All('any')
  any() {
    return {};
  }
  @Get('by/:author/:id')
  one(@Param('id') id: string) {
    return { id };
  }
  @Get('of/:author/:id')
  other(@Param('id') id: string) {
    return { id };
  }
}

type Ask = readonly [path: string, asking?: Asking];
const h = (headers: Record<string, string>): Asking => ({ headers });
const parts = (...key: NonNullable<Extract<ResponseCachePolicy['key'], readonly unknown[]>>): ResponseCachePolicy => ({
  key,
});

interface Pair {
  readonly what: string;
  readonly one: Ask;
  readonly two: Ask;
  readonly policy?: ResponseCachePolicy;
}

const apart: Pair[] = [
  { what: 'two hosts', one: ['/books', h({ host: 'a' })], two: ['/books', h({ host: 'b' })] },
  { what: 'two ports', one: ['/books', h({ host: 'a:1' })], two: ['/books', h({ host: 'a:2' })] },
  { what: 'two paths of one handler', one: ['/books/by/a/1'], two: ['/books/by/a/2'] },
  { what: 'two spellings of a path', one: ['/books/by/%41/1'], two: ['/books/by/A/1'] },
  { what: 'a slash and an encoded one', one: ['/books/by/a/b%2Fc'], two: ['/books/by/a/b%252Fc'] },
  {
    what: 'two handlers of the same parameters',
    one: ['/books/by/a/1'],
    two: ['/books/of/a/1'],
    policy: parts(byRoute(), byParams('id')),
  },
  { what: 'values of one name in two orders', one: ['/books?a=1&a=2'], two: ['/books?a=2&a=1'] },
  { what: 'an empty parameter and none', one: ['/books?a='], two: ['/books'] },
  { what: 'two parameters', one: ['/books?a=1%26b=2'], two: ['/books?a=1&b=2'] },
  {
    what: 'an allowed list and a value',
    one: ['/books?a=1,2'],
    two: ['/books?a=1&a=2'],
    policy: parts(byRoute(), byQuery(['a'])),
  },
  {
    what: 'pages',
    one: ['/books?page=1&limit=5'],
    two: ['/books?page=2&limit=5'],
    policy: parts(byRoute(), byPagination()),
  },
  {
    what: 'two headers',
    one: ['/books', h({ a: 'x', b: 'y' })],
    two: ['/books', h({ a: 'y', b: 'x' })],
    policy: parts(byHeaders('a', 'b')),
  },
  { what: 'an empty header and none', one: ['/books', h({ a: '' })], two: ['/books'], policy: { vary: ['a'] } },
  {
    what: 'header lists by function',
    one: ['/books', h({ a: 'x' })],
    two: ['/books', h({ a: 'y' })],
    policy: { vary: () => ['a'] },
  },
  {
    what: 'two cookies',
    one: ['/books', h({ cookie: 'a=1' })],
    two: ['/books', h({ cookie: 'a=2' })],
    policy: parts(byCookies('a')),
  },
  {
    what: 'a cookie in two orders',
    one: ['/books', h({ cookie: 'a=1; a=2' })],
    two: ['/books', h({ cookie: 'a=2; a=1' })],
    policy: { cookies: ['a'] },
  },
  {
    what: 'two languages',
    one: ['/books', h({ 'accept-language': 'fr' })],
    two: ['/books', h({ 'accept-language': 'en' })],
    policy: parts(byLocale(['en', 'fr'])),
  },
  {
    what: 'two types',
    one: ['/books', h({ accept: 'a/b' })],
    two: ['/books', h({ accept: 'a/c' })],
    policy: parts(byAccept(['a/b', 'a/c'])),
  },
  {
    what: 'two principals',
    one: ['/books', h({ u: '1' })],
    two: ['/books', h({ u: '2' })],
    policy: { principal: ({ headers }) => headers['u'] as string },
  },
  {
    what: 'answers of a key function',
    one: ['/books?a=1'],
    two: ['/books?a=2'],
    policy: { key: ({ view }) => [view.search] },
  },
  {
    what: 'hosts of a key function',
    one: ['/books', h({ host: 'a' })],
    two: ['/books', h({ host: 'b' })],
    policy: { key: () => 'all' },
  },
  { what: 'a query in two orders', one: ['/books?a=1&b=2'], two: ['/books?b=2&a=1'], policy: parts(byUrl()) },
  { what: 'a question mark and none', one: ['/books?'], two: ['/books'], policy: parts(byUrl()) },
  {
    what: 'custom parts',
    one: ['/books?a=1'],
    two: ['/books?a=2'],
    policy: parts(custom((view) => view.query['a'] as string)),
  },
];

const together: Pair[] = [
  { what: 'names of the query in any order', one: ['/books?b=2&a=1&a=0'], two: ['/books?a=1&b=2&a=0'] },
  { what: 'GET and HEAD', one: ['/books'], two: ['/books', { method: 'HEAD' }] },
  {
    what: 'parameters that are not allowed',
    one: ['/books?a=1&utm=2'],
    two: ['/books?utm=3&a=1'],
    policy: parts(byRoute(), byQuery(['a'])),
  },
  {
    what: 'a default and none',
    one: ['/books?page=1'],
    two: ['/books'],
    policy: parts(byRoute(), byQuery(['page'], { defaults: { page: '1' } })),
  },
  {
    what: 'parameters left out',
    one: ['/books/by/a/1'],
    two: ['/books/by/b/1'],
    policy: parts(byRoute(), byParams('id')),
  },
  {
    what: 'languages of one choice',
    one: ['/books', h({ 'accept-language': 'fr-CH, en;q=0.1' })],
    two: ['/books', h({ 'accept-language': 'de, FR;q=0.8, en;q=0.2' })],
    policy: parts(byLocale(['en', 'fr'])),
  },
  {
    what: 'types of one choice',
    one: ['/books', h({ accept: 'a/*;q=0.5' })],
    two: ['/books', h({ accept: '*/*' })],
    policy: parts(byAccept(['a/b', 'a/c'])),
  },
  { what: 'headers and cookies that no part names', one: ['/books', h({ a: 'x', cookie: 'a=1' })], two: ['/books'] },
];

describe.each(PLATFORMS)('the key of a request on %s', (platform) => {
  it.each(apart)('tells apart $what', async ({ one, two, policy = {} }) => {
    const ask = await probe(platform, [BooksController], { base: policy });
    const [a, b] = [await ask(...one), await ask(...two)];
    expect([a.bypass, b.bypass]).toEqual([undefined, undefined]);
    expect(a.key).not.toBe(b.key);
    expect((await ask(...one)).key).toBe(a.key);
  });

  it.each(together)('does not tell apart $what', async ({ one, two, policy = {} }) => {
    const ask = await probe(platform, [BooksController], { base: policy });
    const [a, b] = [await ask(...one), await ask(...two)];
    expect(a.key).toBeDefined();
    expect(a.key).toBe(b.key);
  });

  it('tells apart controllers of one name and path by their versions', async () => {
    const versioned = (version: string) => {
      @Controller({ path: 'same', version })
      class SameController {
        @Get()
        get() {
          return version;
        }
      }
      return SameController;
    };
    const ask = await probe(platform, [versioned('1'), versioned('2')], {
      prepare: (app) => app.enableVersioning({ type: VersioningType.HEADER, header: 'x-api' }),
    });
    const [one, two] = [await ask('/same', h({ 'x-api': '1' })), await ask('/same', h({ 'x-api': '2' }))];
    expect([one.body, two.body]).toEqual([1, 2]);
    expect(one.key).not.toBe(two.key);
  });

  const bypassed: Array<[reason: string, what: string, ask: Ask, policy?: ResponseCachePolicy]> = [
    ['method', 'POST', ['/books', { method: 'POST' }]],
    ['method', 'OPTIONS', ['/books/any', { method: 'OPTIONS' }]],
    [
      'body',
      'a GET with a body',
      ['/books', { body: '{"a":1}', headers: { 'content-type': 'application/json', 'content-length': '7' } }],
    ],
    ['policy', 'what the policy says', ['/books?preview'], { bypass: ({ search }) => search === 'preview' }],
    ['credentials', 'Authorization', ['/books', h({ authorization: 'Bearer a' })]],
    ['credentials', 'a session', ['/books', h({ cookie: 'x=1; connect.sid=s' })]],
    ['credentials', 'a declared session', ['/books', h({ cookie: 'mine=s' })], { sessionCookies: ['mine'] }],
    ['principal', 'nobody', ['/books'], { principal: () => undefined }],
    ['principal', 'an empty name', ['/books'], { principal: () => '' }],
    ['principal', 'nobody signed in', ['/books'], parts(byUser())],
    ['representation', 'types that are not offered', ['/books', h({ accept: 'x/y' })], parts(byAccept(['a/b']))],
    [
      'representation',
      'an unknown language',
      ['/books?l=xx'],
      parts(byLocale(['en'], (view) => view.query['l'] as string)),
    ],
    ['key', 'no answer of a key function', ['/books'], { key: () => undefined as never }],
    ['key', 'no answer of a custom part', ['/books'], parts(custom(() => undefined))],
  ];
  it.each(bypassed)('is none (%s) for %s', async (reason, _what, ask, policy = {}) => {
    const asked = await probe(platform, [BooksController], { base: policy });
    expect((await asked(...ask)).bypass).toBe(reason);
  });

  it('is that of anybody for public routes, and in rfc mode, where headers decide', async () => {
    const publicly = await probe(platform, [BooksController], { base: { public: true } });
    const asking = h({ authorization: 'a', cookie: 'sid=1' });
    expect((await publicly('/books', asking)).key).toBe((await publicly('/books')).key);
    const rfc = await probe(platform, [BooksController], { base: { mode: 'rfc' } });
    expect((await rfc('/books', asking)).page).toMatchObject({ partition: 'public', isAuthorized: true });
    expect((await rfc('/books')).page).toMatchObject({ isAuthorized: false });
  });

  it('says what a client must vary on, and how its entries are labelled', async () => {
    const ask = await probe(platform, [BooksController], {
      base: { key: [byRoute(), byLocale(['en']), byCookies('a'), byVersion('catalogue')], vary: ['X-Shop'] },
    });
    expect((await ask('/books')).page).toMatchObject({
      vary: ['accept-language', 'cookie', 'x-shop'],
      tags: ['catalogue'],
    });
  });

  it('holds no credentials, and stays short however long the request is', async () => {
    const ask = await probe(platform, [BooksController], {
      base: {
        public: true,
        key: [byRoute(), byParams(), byQuery('*'), byHeaders('authorization', 'x')],
        cookies: ['a'],
      },
    });
    const long = 'é('.repeat(1500);
    const seen = await ask(
      `/books?q=${encodeURIComponent(long)}`,
      h({ authorization: 'hunter2', cookie: 'a=hunter2', x: 'y('.repeat(2000) }),
    );
    expect(seen.key).not.toContain('hunter2');
    expect(seen.key?.length).toBeLessThan(4000);
    const other = await ask(
      `/books?q=${encodeURIComponent(`${long}!`)}`,
      h({ authorization: 'hunter2', cookie: 'a=hunter2' }),
    );
    expect(other.key).not.toBe(seen.key);
  });
});
