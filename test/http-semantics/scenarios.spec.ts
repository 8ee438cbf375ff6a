import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CachePolicy, Fields, RequestHead } from '../../src/http-semantics/index.js';
import { rfc, rfcShared, ttl, ttlPrivate, ttlShared } from './exchange.js';
import { ModelCache, type Reply } from './model.cache.js';

const URL_1 = 'http://a.example/1';

type Script = (request: RequestHead & { url: string }, call: number) => Partial<Reply> | Promise<Partial<Reply>>;

/** A cache over an origin that numbers its calls; a body tells which one it came from. */
function over(script: Script, policy: CachePolicy = rfcShared) {
  const calls: RequestHead[] = [];
  const cache = new ModelCache(policy, async (request) => {
    calls.push(request);
    const call = calls.length;
    return { status: 200, headers: {}, body: `body ${call}`, ...(await script(request, call)) };
  });
  return { cache, calls };
}

/** A promise to be settled by the test. */
function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

describe('revalidation', () => {
  it('C3: a bare 304 makes it fresh, body and all (undici: never)', async () => {
    const { cache, calls } = over((request) =>
      request.headers['if-none-match']
        ? { status: 304, body: '' }
        : { headers: { etag: '"a"', 'cache-control': 'max-age=10' } },
    );
    await cache.get(URL_1);
    cache.now += 11_000;
    expect(await cache.get(URL_1)).toMatchObject({ status: 200, body: 'body 1' });
    cache.now += 9000;
    expect(await cache.get(URL_1)).toMatchObject({ body: 'body 1', headers: { age: '9' } });
    expect(calls.length).toBe(2);
  });

  it('C3: a 304 of another representation is followed by a request without conditions', async () => {
    const { cache, calls } = over((request) =>
      request.headers['if-none-match']
        ? { status: 304, headers: { etag: '"b"' } }
        : { headers: { etag: '"a"', 'cache-control': 'max-age=1' } },
    );
    await cache.get(URL_1);
    cache.now += 2000;
    expect((await cache.get(URL_1)).body).toBe('body 3');
    expect(calls[2]?.headers['if-none-match']).toBeUndefined();
  });

  it('C1: the first client has a condition: it gets its 304, the next one the body (handler 304s poison Nest and Nitro)', async () => {
    const { cache, calls } = over((request) =>
      request.headers['if-none-match']
        ? { status: 304, body: '' }
        : { headers: { etag: '"a"', 'cache-control': 'max-age=9' } },
    );
    expect((await cache.get(URL_1, { 'if-none-match': '"a"' })).status).toBe(304);
    expect(await cache.get(URL_1)).toMatchObject({ status: 200, body: 'body 1' });
    expect(calls.length).toBe(1);
  });

  it('C5: the first client wants a part: it gets it, and the whole is stored', async () => {
    const { cache, calls } = over((request) =>
      request.headers['range'] ? { status: 206, body: 'bo' } : { headers: { 'cache-control': 'max-age=9' } },
    );
    expect(await cache.get(URL_1, { range: 'bytes=0-1' })).toMatchObject({ status: 206, body: 'bo' });
    expect(await cache.get(URL_1)).toMatchObject({ status: 200, body: 'body 1' });
    expect(calls.length).toBe(1);
  });

  it('S1 C4: HEAD is answered by a stored GET, and stores nothing itself (Nitro: 204)', async () => {
    const { cache, calls } = over(() => ({ headers: { 'cache-control': 'max-age=9' } }));
    expect((await cache.send('HEAD', URL_1)).status).toBe(200);
    expect((await cache.get(URL_1)).body).toBe('body 2');
    expect(await cache.send('HEAD', URL_1)).toMatchObject({ status: 200, body: '', headers: { age: '0' } });
    expect(calls.length).toBe(2);
  });

  it('C4: a HEAD that disagrees makes the stored GET stale', async () => {
    const { cache } = over((_, call) => ({ headers: { 'cache-control': 'max-age=9', etag: `"${call}"` } }));
    await cache.get(URL_1);
    await cache.send('HEAD', URL_1, { 'cache-control': 'no-cache' });
    expect((await cache.get(URL_1)).body).toBe('body 3');
  });
});

describe('errors', () => {
  const headers = { 'cache-control': 'max-age=1, stale-if-error=60' };

  it('F4: stale for a 503 and for no answer at all (undici 7, got, axios-cache-interceptor)', async () => {
    const { cache } = over((_, call) => {
      if (call === 3) throw new Error('closed');
      return call === 1 ? { headers } : { status: 503 };
    });
    await cache.get(URL_1);
    cache.now += 2000;
    for (let i = 0; i < 3; i++)
      expect(await cache.get(URL_1)).toMatchObject({ status: 200, body: 'body 1', headers: { age: '2' } });
    cache.now += 60_000;
    expect((await cache.get(URL_1)).status).toBe(503);
  });

  it('F4: an error where must-revalidate is said', async () => {
    const { cache } = over((_, call) =>
      call === 1 ? { headers: { 'cache-control': 'max-age=1, stale-if-error=60, must-revalidate' } } : { status: 503 },
    );
    await cache.get(URL_1);
    cache.now += 2000;
    expect((await cache.get(URL_1)).status).toBe(503);
  });

  it('S2: an error does not take the place of what is stored', async () => {
    const { cache } = over((_, call) => (call === 1 ? {} : { status: 500 }), ttl({ staleIfError: 60_000 }));
    await cache.get(URL_1);
    cache.now += 61_000;
    expect((await cache.get(URL_1)).body).toBe('body 1');
    expect((await cache.get(URL_1)).body).toBe('body 1');
  });
});

describe('many at once', () => {
  it('F5: 50 cold requests, one run (Nest: 50)', async () => {
    const { cache, calls } = over(() => ({}), ttlShared);
    const replies = await Promise.all(Array.from({ length: 50 }, () => cache.get(URL_1)));
    expect(new Set(replies.map(({ body }) => body))).toEqual(new Set(['body 1']));
    expect(calls.length).toBe(1);
  });

  it.each<[string, Fields]>([
    ['private', { 'cache-control': 'private' }],
    ['Set-Cookie (Nitro #3468)', { 'set-cookie': 'sid=1' }],
    ['Vary: *', { vary: '*' }],
  ])('F5 S6: who waited for an answer with %s gets one of its own', async (_, headers) => {
    const { cache } = over(() => ({ headers }), ttlShared);
    const replies = await Promise.all(Array.from({ length: 5 }, () => cache.get(URL_1)));
    expect(new Set(replies.map(({ body }) => body)).size).toBe(5);
  });

  it('F5: who waited for another variant gets its own', async () => {
    const { cache } = over(
      (request) => ({ headers: { vary: 'Accept' }, body: String(request.headers['accept']) }),
      ttlShared,
    );
    const replies = await Promise.all(['a', 'b', 'a', 'c'].map((accept) => cache.get(URL_1, { accept })));
    expect(replies.map(({ body }) => body)).toEqual(['a', 'b', 'a', 'c']);
  });

  it('F6: 10 stale hits answered at once, one refresh (undici: 10)', async () => {
    const refresh = gate();
    const { cache, calls } = over(async (_, call) => {
      if (call > 1) await refresh.opened;
      return { headers: { 'cache-control': 'max-age=1, stale-while-revalidate=60' } };
    });
    await cache.get(URL_1);
    cache.now += 2000;
    for (let i = 0; i < 10; i++) expect((await cache.get(URL_1)).body).toBe('body 1');
    refresh.open();
    await Promise.all(cache.refreshes);
    expect(calls.length).toBe(2);
    expect((await cache.get(URL_1)).body).toBe('body 2');
  });
});

describe('invalidation', () => {
  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'M-SEARCH'])(
    'I1: by %s, every variant (nginx, varnish, ocache, Nest: none)',
    async (method) => {
      const { cache } = over(() => ({ headers: { vary: 'Accept' } }), ttlShared);
      for (const accept of ['a', 'b']) await cache.get(URL_1, { accept });
      await cache.send(method, URL_1);
      expect((await cache.get(URL_1, { accept: 'a' })).body).toBe('body 4');
      expect((await cache.get(URL_1, { accept: 'b' })).body).toBe('body 5');
    },
  );

  it('I1: not by one that failed', async () => {
    const { cache } = over((request) => ({ status: request.method === 'PUT' ? 500 : 200 }), ttlShared);
    await cache.get(URL_1);
    await cache.send('PUT', URL_1);
    expect((await cache.get(URL_1)).body).toBe('body 1');
  });

  it('I2: during a fill keeps that fill from being stored', async () => {
    const fill = gate();
    const { cache } = over(async (_, call) => {
      if (call === 1) await fill.opened;
      return {};
    }, ttlShared);
    const early = cache.get(URL_1);
    await cache.send('PUT', URL_1);
    fill.open();
    expect((await early).body).toBe('body 1');
    expect((await cache.get(URL_1)).body).toBe('body 3');
  });

  it('I3: soft, it is served once more while a new one is fetched; hard, never', async () => {
    const { cache } = over(() => ({}), ttl({ staleWhileRevalidate: 60_000 }));
    await cache.get(URL_1);
    cache.invalidate(URL_1, 'soft');
    expect((await cache.get(URL_1)).body).toBe('body 1');
    await Promise.all(cache.refreshes);
    expect((await cache.get(URL_1)).body).toBe('body 2');
    cache.invalidate(URL_1, 'hard');
    expect((await cache.get(URL_1)).body).toBe('body 3');
  });

  it('I4: by group, of unsafe methods only, and not beyond the group', async () => {
    const { cache } = over((request) => {
      if (request.url.endsWith('/change'))
        return { headers: { 'cache-group-invalidation': '"books"', 'cache-control': 'no-store' } };
      return { headers: { 'cache-groups': request.url.endsWith('/1') ? '"books", "all"' : '"all"' } };
    }, ttlShared);
    const other = 'http://a.example/2';
    await cache.get(URL_1);
    await cache.get(other);
    await cache.get('http://a.example/change');
    expect((await cache.get(URL_1)).body).toBe('body 1');
    await cache.send('POST', 'http://a.example/change');
    expect((await cache.get(other)).body).toBe('body 2');
    expect((await cache.get(URL_1)).body).toBe('body 5');
  });
});

describe('two users', () => {
  it('K5: each has a partition of their own; without a principal there is none', async () => {
    const { cache } = over(() => ({}), ttlPrivate);
    const bodies = [];
    for (const principal of ['u1', 'u2', 'u1', undefined, undefined])
      bodies.push((await cache.send('GET', URL_1, { authorization: 'x' }, principal)).body);
    expect(bodies).toEqual(['body 1', 'body 2', 'body 1', 'body 3', 'body 4']);
  });

  it('S3 S4 S5 S6 F5: none ever gets what was made for another (10,000 runs)', { timeout: 120_000 }, async () => {
    // A handler that reads a header says so by Vary or by an opt-out; a third, Authorization, it need not mention at all.
    const handler = fc.record({
      reads: fc.constantFrom('accept-language', 'cookie', 'x-tenant', 'authorization'),
      says: fc.constantFrom<(name: string) => Fields>(
        (name) => ({ vary: name }),
        (name) => ({ vary: ['accept', ` ${name.toUpperCase()} ,`] }),
        () => ({ 'cache-control': 'PRIVATE, max-age=60' }),
        () => ({ 'cache-control': ['max-age=60', 'No-Store'] }),
        () => ({ vary: '*' }),
        () => ({ 'set-cookie': 'a=b', 'cache-control': 'max-age=60' }),
        (name): Fields => (name === 'authorization' ? { 'cache-control': 'max-age=60' } : { vary: name }),
      ),
      more: fc.constantFrom<Fields>(
        {},
        { etag: '"same"' },
        { 'cache-control': 'max-age=5, stale-while-revalidate=50, stale-if-error=50' },
      ),
    });
    const value = fc.constantFrom(undefined, '', 'a', 'b', 'ab', 'a, b', '"a');
    const step = fc.record({
      headers: fc.record({ 'accept-language': value, cookie: value, 'x-tenant': value, authorization: value }),
      extra: fc.constantFrom<Fields>(
        {},
        { 'if-none-match': '"same"' },
        { range: 'bytes=0-' },
        { 'cache-control': 'max-stale' },
      ),
      method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'PUT'),
      wait: fc.constantFrom(0, 0, 3000, 40_000, 70_000),
      isConcurrent: fc.boolean(),
    });
    const policies = [
      ttlShared,
      ttl({ staleWhileRevalidate: 60_000, staleIfError: 60_000 }),
      rfcShared,
      rfc({ freshFor: 60_000 }),
    ];
    await fc.assert(
      fc.asyncProperty(
        handler,
        fc.constantFrom(...policies),
        fc.array(step, { minLength: 2, maxLength: 6 }),
        async (made, policy, steps) => {
          const cache = new ModelCache(policy, (request) => {
            const read = request.headers[made.reads];
            return {
              status: 200,
              headers: { ...made.more, ...made.says(made.reads), 'x-made-for': JSON.stringify(read ?? null) },
              body: JSON.stringify(read ?? null),
            };
          });
          const under: Promise<void>[] = [];
          for (const { headers, extra, method, wait, isConcurrent } of steps) {
            cache.now += wait;
            const own = JSON.stringify(headers[made.reads as keyof typeof headers] ?? null);
            const checked = cache.send(method, URL_1, { ...headers, ...extra }).then((reply) => {
              if (reply.status !== 304) expect(JSON.stringify(reply.headers['x-made-for'])).toBe(JSON.stringify(own));
              if (reply.status === 200 && method === 'GET') expect(reply.body).toBe(own);
            });
            under.push(checked);
            if (!isConcurrent) await checked;
          }
          await Promise.all([...under, ...cache.refreshes]);
        },
      ),
      { numRuns: 10_000 },
    );
  });

  it('S4: a response made with credentials is kept from those without', async () => {
    const { cache } = over((request) => ({
      headers: { 'cache-control': 'max-age=9' },
      body: String(request.headers['authorization']),
    }));
    expect((await cache.get(URL_1, { authorization: 'A' })).body).toBe('A');
    expect((await cache.get(URL_1, { authorization: 'B' })).body).toBe('B');
    expect((await cache.get(URL_1)).body).toBe('undefined');
  });
});
