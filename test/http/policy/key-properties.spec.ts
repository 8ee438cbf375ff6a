import { createRequire } from 'node:module';
import querystring from 'node:querystring';
import { isDeepStrictEqual } from 'node:util';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeKey } from '../../../src/core/keys/key-encoding.js';
import { byHeaders } from '../../../src/http/keys/header.components.js';
import { pageKeyOf } from '../../../src/http/keys/page-key.js';
import { sortedQuery } from '../../../src/http/keys/query-pairs.js';
import { byQuery, pickQuery } from '../../../src/http/keys/query.components.js';
import { byParams, byRoute } from '../../../src/http/keys/route.components.js';
import { compilePolicy } from '../../../src/http/policy/compiled.policy.js';
import { requestViewOf } from '../../../src/http/policy/request-view-of.js';
import type { RequestView } from '../../../src/http/policy/request-view.js';
import type { ResponseCachePolicy } from '../../../src/http/policy/response-cache.policy.js';

const require = createRequire(import.meta.url);
type Parse = (text: string) => object;
const qs = require('qs') as { parse(text: string, options: object): object };
const fastQuerystring = require('fast-querystring') as { parse: Parse };
/** Express' simple and extended parsers, and Fastify's. */
const PARSERS: Record<string, Parse> = {
  simple: (text) => querystring.parse(text),
  extended: (text) => qs.parse(text, { allowPrototypes: true }),
  fastify: (text) => fastQuerystring.parse(text),
};

class Handlers {
  one() {}
  two() {}
}

interface Asked {
  readonly handler: 'one' | 'two';
  readonly host: string;
  readonly path: string;
  readonly pairs: readonly string[];
  readonly params: Record<string, string>;
  readonly headers: Record<string, string | undefined>;
  readonly cookies: ReadonlyArray<readonly [string, string]>;
  readonly user: string | number | undefined;
}

function viewOf({ handler, host, path, pairs, params, headers, cookies, user }: Asked): RequestView {
  const cookie = cookies.map(([name, value]) => `${name}=${value}`).join('; ');
  const url = pairs.length > 0 ? `${path}?${pairs.join('&')}` : path;
  const request = {
    method: 'GET',
    url,
    originalUrl: url,
    host,
    protocol: 'http',
    params,
    query: querystring.parse(pairs.join('&')),
    headers: { ...headers, ...(cookie === '' ? {} : { cookie }) },
    user: user === undefined ? undefined : { id: user },
  };
  const context = new ExecutionContextHost([request], Handlers as never, Handlers.prototype[handler] as never);
  context.setType('http');
  return requestViewOf(context) as RequestView;
}

function keyOf(asked: Asked, policy: ResponseCachePolicy): string {
  const page = pageKeyOf(viewOf(asked), compilePolicy(policy, 'page', 'test'));
  return 'bypass' in page ? `bypass ${page.bypass}` : encodeKey(page.key);
}

// Few letters, so that different requests often have the same characters at other places.
const letters = (alphabet: string, max = 4) =>
  fc.array(fc.constantFrom(...alphabet), { maxLength: max }).map((list) => list.join(''));
const name = fc.constantFrom(
  'a',
  'b',
  'a[]',
  'a[b]',
  '[a]',
  '%61',
  'a%5B%5D',
  'a.b',
  'a%3Db',
  'aa',
  '',
  '+',
  '__proto__',
);
const pair = fc.oneof(
  fc.tuple(name, letters('12=[]%')).map(([key, value]) => `${key}=${value.replaceAll('%', '%31')}`),
  name,
  fc.constantFrom('a=%FF', 'a=1]=2', 'x%3D1]=3', 'x=1]=3', ']=', '=', 'a=%', '%=1'),
);
const asked: fc.Arbitrary<Asked> = fc.record({
  handler: fc.constantFrom('one' as const, 'two' as const),
  host: letters('a:/#', 3),
  path: letters('/a#,', 4).map((text) => `/${text}`),
  pairs: fc.array(pair, { maxLength: 3 }),
  params: fc.dictionary(fc.constantFrom('id', 'x'), letters("/,'", 2), { noNullPrototype: true }),
  headers: fc.record({
    x: fc.option(letters(',x', 2), { nil: undefined }),
    y: fc.option(letters(',x', 2), { nil: undefined }),
  }),
  cookies: fc.array(fc.tuple(fc.constantFrom('c', 'd'), letters('1,"', 2)), { maxLength: 3 }),
  user: fc.option(fc.oneof(letters('1', 2), fc.constantFrom(1, 11)), { nil: undefined }),
});

/** What the key below must distinguish, and nothing else. */
function meaning({ handler, host, path, pairs, params, headers, cookies, user }: Asked): unknown {
  const kept = cookies.filter(([cookie]) => cookie === 'c').map(([, value]) => value);
  const search = sortedQuery(pairs.join('&'));
  return [handler, host, path, search, { ...params }, [headers['x'], headers['y']], kept, user];
}

describe('keys', () => {
  const policy: ResponseCachePolicy = {
    key: [byRoute(), byParams(), byQuery('*'), byHeaders('x')],
    vary: ['y'],
    cookies: ['c'],
    principal: ({ user }) => (user as { id: string } | undefined)?.id ?? -1,
  };

  it('are equal exactly for requests that mean the same', () => {
    fc.assert(
      fc.property(asked, asked, (one, two) => {
        if (keyOf(one, policy).startsWith('bypass') || keyOf(two, policy).startsWith('bypass')) return;
        expect(keyOf(one, policy) === keyOf(two, policy)).toBe(isDeepStrictEqual(meaning(one), meaning(two)));
      }),
      { numRuns: 3000 },
    );
  });

  it('differ when one input differs', () => {
    fc.assert(
      fc.property(
        asked,
        asked,
        fc.constantFrom(...(['handler', 'host', 'path', 'params', 'user'] as const)),
        (one, two, field) => {
          const changed = { ...one, [field]: two[field] };
          const keys = [keyOf(one, policy), keyOf(changed, policy)];
          if (keys.some((key) => key.startsWith('bypass'))) return;
          expect(keys[0] === keys[1]).toBe(isDeepStrictEqual(one[field], changed[field]));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('are the same for names of the query in any order', () => {
    const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c[x]', 'd', 'e%20'), { minLength: 1 });
    fc.assert(
      fc.property(
        asked,
        names.chain((all) =>
          fc.tuple(
            fc.constant(all.map((each) => `${each}=1`)),
            fc.shuffledSubarray(
              all.map((each) => `${each}=1`),
              { minLength: all.length },
            ),
          ),
        ),
        (one, [inOrder, shuffled]) => {
          expect(keyOf({ ...one, pairs: inOrder }, policy)).toBe(keyOf({ ...one, pairs: shuffled }, policy));
        },
      ),
    );
  });
});

describe('sorting a query', () => {
  it.each(Object.entries(PARSERS))('changes nothing for the %s parser', (_name, parse) => {
    fc.assert(
      fc.property(fc.array(pair, { maxLength: 5 }), (pairs) => {
        const search = pairs.join('&');
        expect({ ...parse(sortedQuery(search)) }).toEqual({ ...parse(search) });
      }),
      { numRuns: 3000 },
    );
  });

  it('leaves alone what a fragment, a malformed name or very many pairs make doubtful', () => {
    for (const search of ['b=1&a=2#x', 'b=1&%ZZ=2', Array.from({ length: 201 }, (_, i) => `p${999 - i}`).join('&')])
      expect(sortedQuery(search)).toBe(search);
    expect(sortedQuery('b=1&a=2')).toBe('a=2&b=1');
  });
});

describe('an allowed query', () => {
  it.each(Object.entries(PARSERS))('keys exactly what the handler will see, with the %s parser', (_name, parse) => {
    const allow = ['a', 'b'];
    const part = byQuery(allow, { defaults: { b: '1' } });
    const policy = compilePolicy({ key: [part] }, 'page', 'test');
    const seen = (pairs: readonly string[]) => {
      const query = parse(pairs.join('&')) as Record<string, unknown>;
      const view = { ...plain, query } as unknown as RequestView;
      const page = pageKeyOf(view, policy);
      return { key: 'bypass' in page ? page.bypass : encodeKey(page.key), query: pickQuery(query, allow, { b: '1' }) };
    };
    const plain = { kind: 'http', method: 'GET', protocol: 'http', host: '', identity: { versions: '' }, headers: {} };
    const pairs = fc.array(pair, { maxLength: 4 });
    fc.assert(
      fc.property(pairs, pairs, (one, two) => {
        const [a, b] = [seen(one), seen(two)];
        if (a.key !== 'payload' && b.key !== 'payload')
          expect(a.key === b.key).toBe(isDeepStrictEqual({ ...a.query }, { ...b.query }));
      }),
      { numRuns: 3000 },
    );
  });
});
