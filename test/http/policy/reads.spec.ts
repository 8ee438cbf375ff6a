import {
  Controller,
  Cookies,
  Get,
  Headers,
  HostParam,
  Ip,
  Param,
  Query,
  Req,
  Session,
  createParamDecorator,
  type ExecutionContext,
  type INestApplication,
} from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import { byAccept, byCookies, byHeaders, byIp, byLocale } from '../../../src/http/keys/header.components.js';
import { byTenant, byUser } from '../../../src/http/keys/principal.components.js';
import { byPagination, byQuery } from '../../../src/http/keys/query.components.js';
import { byParams, byRoute } from '../../../src/http/keys/route.components.js';
import { custom } from '../../../src/http/keys/custom.components.js';
import { CONDITIONAL_HEADERS } from '../../../src/http/policy/input-lists.js';
import type { ResponseCachePolicy } from '../../../src/http/policy/response-cache.policy.js';
import { closeAll, probe, PLATFORMS, type Asking, type Seen } from './probe.js';

afterEach(closeAll);

interface AnyRequest extends Record<string, unknown> {
  headers: Record<string, string | undefined>;
  rawHeaders: string[];
  raw?: AnyRequest;
  url: string;
  originalUrl: string;
  ip: string;
  hostname: string;
  protocol: string;
  query: Record<string, unknown>;
  params: Record<string, unknown>;
}

const Tenant = createParamDecorator(
  (_data: unknown, context: ExecutionContext) => context.switchToHttp().getRequest<AnyRequest>()['tenant'] ?? null,
);

@Controller('at/:place')
class ReadingController {
  @Get('nothing')
  nothing() {
    return 'nothing';
  }
  @Get('header')
  header(@Headers('X-Shop') shop: string) {
    return { shop };
  }
  @Get('headers')
  headers(@Headers() headers: object) {
    return { ...headers };
  }
  @Get('raw-header')
  rawHeader(@Req() request: AnyRequest) {
    return { shop: (request.raw ?? request).headers['x-shop'] };
  }
  @Get('raw-headers')
  rawHeaders(@Req() request: AnyRequest) {
    return (request.raw ?? request).rawHeaders;
  }
  @Get('has-header')
  hasHeader(@Req() request: AnyRequest) {
    return { has: 'x-shop' in request.headers };
  }
  @Get('authorization')
  authorization(@Headers('authorization') authorization: string) {
    return { authorization };
  }
  @Get('cookie')
  cookie(@Cookies('theme') theme: string) {
    return { theme };
  }
  @Get('cookie-header')
  cookieHeader(@Headers('cookie') cookie: string) {
    return { cookie };
  }
  @Get('parsed-cookie')
  parsedCookie(@Req() request: { cookies?: Record<string, string> }) {
    return { theme: request.cookies?.['theme'] };
  }
  @Get('raw-cookie')
  rawCookie(@Req() request: { raw?: object; cookies?: Record<string, string> }) {
    return { theme: ((request.raw ?? request) as typeof request).cookies?.['theme'] };
  }
  @Get('raw-query')
  rawQuery(@Req() request: AnyRequest) {
    return { q: (request.raw ?? request).query?.['q'] };
  }
  @Get('raw-ip')
  rawIp(@Req() request: AnyRequest) {
    return { ip: (request.raw ?? request).ip };
  }
  @Get('query')
  query(@Query('q') q: unknown) {
    return { q };
  }
  @Get('queries')
  queries(@Query() query: object) {
    return { ...query };
  }
  @Get('url')
  url(@Req() request: AnyRequest) {
    return [request.url, request.originalUrl];
  }
  @Get('param')
  param(@Param('place') place: string) {
    return { place };
  }
  @Get('ip')
  ip(@Ip() ip: string) {
    return { ip };
  }
  @Get('host')
  host(@Req() request: AnyRequest) {
    return [request.hostname, request.protocol, request.headers['x-forwarded-host'] ?? null];
  }
  @Get('session')
  session(@Session() session: object) {
    return session ?? null;
  }
  @Get('tenant')
  tenant(@Tenant() tenant: string) {
    return { tenant };
  }
  @Get('accept')
  accept(@Headers('accept') accept: string, @Headers('accept-language') language: string) {
    return [accept ?? null, language ?? null];
  }
  @Get('conditions')
  conditions(@Headers('if-none-match') condition: string, @Headers('range') range: string) {
    return [condition ?? null, range ?? null];
  }
}

/** What middleware and guards would do: read the request before the cache does, and leave what they found. */
function recognising(app: INestApplication): void {
  // In front of Fastify's routes it is Node's request that middleware sees.
  app.use((request: AnyRequest, _response: unknown, next: () => void) => {
    if (request.headers['x-parse-early']) request['cookies'] = { theme: 'dark' };
    next();
  });
  app.useGlobalGuards({
    canActivate(context) {
      const request = context.switchToHttp().getRequest<AnyRequest>();
      const { headers } = request;
      if (headers['x-tenant']) request['tenant'] = headers['x-tenant'];
      if (headers['x-session']) request['session'] = { id: headers['x-session'] };
      if (headers['x-parse']) request['cookies'] = { theme: 'dark', other: 'x' };
      if (headers['x-user']) request['user'] = { id: headers['x-user'] };
      return true;
    },
  });
}

interface Case {
  readonly does: string;
  readonly path: string;
  readonly asking?: Asking;
  readonly policy?: ResponseCachePolicy;
  readonly reads?: readonly string[];
  readonly judged?: unknown;
  readonly body?: unknown;
}

const stored = (...vary: string[]) => ({ vary });
const unkeyed = (input: string) => ({ refuse: 'unkeyed', input });
const credentials = (input: string) => ({ refuse: 'credentials', input });
const h = (headers: Record<string, string>): Asking => ({ headers });
const signedIn = { principal: () => 'ann' } satisfies ResponseCachePolicy;
const DARK = h({ cookie: 'theme=dark; track=1; theme=light; sid=s' });

const cases: Case[] = [
  { does: 'reads nothing', path: 'nothing', reads: [], judged: stored() },
  {
    does: 'reads a header',
    path: 'header',
    asking: h({ 'x-shop': 'a' }),
    reads: ['header:x-shop'],
    judged: stored('x-shop'),
    body: { shop: 'a' },
  },
  { does: 'reads a header that is absent', path: 'header', judged: stored('x-shop') },
  { does: 'asks whether there is a header', path: 'has-header', judged: stored('x-shop'), body: { has: false } },
  {
    does: 'reads a header of the raw request',
    path: 'raw-header',
    asking: h({ 'x-shop': 'a' }),
    judged: stored('x-shop'),
    body: { shop: 'a' },
  },
  { does: 'reads a header of the key', path: 'header', policy: { vary: ['X-Shop'] }, judged: stored() },
  {
    does: 'reads a header of a component',
    path: 'header',
    policy: { key: [byRoute(), byHeaders('X-Shop')] },
    judged: stored(),
  },
  { does: 'reads all headers', path: 'headers', judged: unkeyed('header:*') },
  { does: 'reads the raw headers', path: 'raw-headers', judged: unkeyed('header:*') },
  {
    does: 'reads what is ignored',
    path: 'headers',
    policy: { autoVary: { ignore: ['header:*'] } },
    judged: { vary: expect.any(Array) as unknown },
  },
  { does: 'is not watched', path: 'headers', policy: { autoVary: false }, reads: [], judged: stored() },

  { does: 'reads Authorization, which is absent', path: 'authorization', judged: credentials('header:authorization') },
  {
    does: 'reads Authorization in public',
    path: 'authorization',
    asking: h({ authorization: 'a' }),
    policy: { public: true },
    judged: credentials('header:authorization'),
  },
  {
    does: 'reads the Authorization of a principal',
    path: 'authorization',
    asking: h({ authorization: 'a' }),
    policy: signedIn,
    judged: stored(),
  },
  { does: 'reads a session', path: 'session', asking: h({ 'x-session': 's' }), judged: credentials('request:session') },
  {
    does: 'reads the session of a principal',
    path: 'session',
    asking: h({ 'x-session': 's' }),
    policy: signedIn,
    judged: stored(),
  },

  { does: 'reads a cookie', path: 'cookie', asking: h({ cookie: 'theme=dark' }), judged: credentials('header:cookie') },
  {
    does: 'reads a parsed cookie',
    path: 'parsed-cookie',
    asking: h({ 'x-parse': '1' }),
    judged: credentials('cookie:theme'),
    body: { theme: 'dark' },
  },
  {
    does: 'reads a cookie that middleware has parsed',
    path: 'raw-cookie',
    asking: h({ 'x-parse-early': '1' }),
    judged: credentials('cookie:theme'),
    body: { theme: 'dark' },
  },
  {
    does: 'sees no cookie that middleware has parsed, none being declared',
    path: 'raw-cookie',
    asking: h({ 'x-parse-early': '1' }),
    policy: { cookies: [] },
    judged: stored(),
    body: {},
  },
  { does: 'reads a cookie of a principal', path: 'cookie', asking: DARK, policy: signedIn, judged: stored('cookie') },
  {
    does: 'reads a parsed cookie of a principal',
    path: 'parsed-cookie',
    asking: h({ 'x-parse': '1' }),
    policy: signedIn,
    judged: stored('cookie'),
  },
  {
    does: 'reads a declared cookie',
    path: 'cookie',
    asking: h({ cookie: 'theme=dark' }),
    policy: { cookies: ['theme'] },
    judged: stored(),
    body: { theme: 'dark' },
  },
  {
    does: 'sees declared cookies only',
    path: 'cookie-header',
    asking: h({ cookie: 'theme=dark; track=1; theme=light' }),
    policy: { key: [byRoute(), byCookies('theme')] },
    judged: stored(),
    body: { cookie: 'theme=dark; theme=light' },
  },
  {
    does: 'sees declared cookies and the session of a principal',
    path: 'cookie-header',
    asking: DARK,
    policy: { ...signedIn, cookies: ['theme'] },
    judged: stored(),
    body: { cookie: 'theme=dark; theme=light; sid=s' },
  },
  {
    does: 'sees no cookie, none being declared',
    path: 'cookie-header',
    asking: h({ cookie: 'track=1' }),
    policy: { cookies: [] },
    judged: stored(),
    body: {},
  },
  {
    does: 'sees declared parsed cookies only',
    path: 'parsed-cookie',
    asking: h({ 'x-parse': '1' }),
    policy: { cookies: ['other'] },
    judged: stored(),
    body: {},
  },

  { does: 'reads the query', path: 'query?q=1', reads: [], judged: stored(), body: { q: '1' } },
  {
    does: 'reads a parameter that no part covers',
    path: 'query',
    policy: { key: [byRoute()] },
    judged: unkeyed('query:q'),
  },
  {
    does: 'reads a parameter of the raw request that no part covers',
    path: 'raw-query',
    policy: { key: [byRoute()] },
    judged: unkeyed('query:q'),
  },
  {
    does: 'sees the allowed parameters of the raw request only',
    path: 'raw-query?q=1',
    policy: { key: [byRoute(), byQuery(['page'])] },
    judged: stored(),
    body: {},
  },
  { does: 'reads the address off the raw request', path: 'raw-ip', judged: { ...unkeyed('ip') } },
  {
    does: 'reads all of a query that no part covers',
    path: 'queries',
    policy: { key: [byRoute()] },
    judged: unkeyed('query:*'),
  },
  {
    does: 'sees the allowed parameters only',
    path: 'queries?utm=1&q=2&page=3&q=4',
    policy: { key: [byRoute(), byQuery(['q']), byPagination('page')] },
    judged: stored(),
    body: { page: '3', q: ['2', '4'] },
  },
  {
    does: 'sees the default of a parameter',
    path: 'queries',
    policy: { key: [byRoute(), byQuery(['page'], { defaults: { page: '1' } })] },
    judged: stored(),
    body: { page: '1' },
  },
  {
    does: 'sees a target without the hidden parameters',
    path: 'url?utm=1&q=a%20b&%71=c',
    policy: { key: [byRoute(), byParams(), byQuery(['q'])] },
    judged: stored(),
    body: ['/at/home/url?q=a%20b&q=c', '/at/home/url?q=a%20b&q=c'],
  },
  {
    does: 'reads a target that the key covers',
    path: 'url?a=1',
    judged: stored(),
    body: ['/at/home/url?a=1', '/at/home/url?a=1'],
  },
  {
    does: 'reads a target that the key does not cover',
    path: 'url?a=1',
    policy: { key: [byRoute(), byParams()] },
    judged: unkeyed('url'),
  },
  {
    does: 'reads a route parameter that no part covers',
    path: 'param',
    policy: { key: [byRoute()] },
    judged: unkeyed('param:place'),
  },
  {
    does: 'reads a route parameter of the key',
    path: 'param',
    policy: { key: [byRoute(), byParams('place')] },
    judged: stored(),
  },

  { does: 'reads the address', path: 'ip', judged: unkeyed('ip') },
  { does: 'reads the address of the key', path: 'ip', policy: { key: [byRoute(), byIp()] }, judged: stored() },
  {
    does: 'reads the host',
    path: 'host',
    asking: h({ host: 'a.example', 'x-forwarded-host': 'evil.example' }),
    judged: stored(),
    body: ['a.example', 'http', null],
  },
  {
    does: 'reads a declared forwarded host',
    path: 'host',
    asking: h({ host: 'a.example', 'x-forwarded-host': 'b.example' }),
    policy: { vary: ['x-forwarded-host'] },
    judged: stored(),
    body: ['a.example', 'http', 'b.example'],
  },

  {
    does: 'reads what a guard has found out',
    path: 'tenant',
    asking: h({ 'x-tenant': 't' }),
    judged: unkeyed('request:tenant'),
    body: { tenant: 't' },
  },
  {
    does: 'reads what a guard has found out about a principal',
    path: 'tenant',
    asking: h({ 'x-tenant': 't' }),
    policy: signedIn,
    judged: unkeyed('request:tenant'),
  },
  {
    does: 'reads the tenant of the key',
    path: 'tenant',
    asking: h({ 'x-tenant': 't' }),
    policy: { key: [byRoute(), byTenant(({ request }) => request['tenant'] as string)] },
    judged: stored(),
  },
  {
    does: 'reads what the key function looks at',
    path: 'tenant',
    asking: h({ 'x-tenant': 't' }),
    policy: { key: ({ request }) => String(request['tenant']) },
    judged: stored(),
  },
  {
    does: 'reads a header that the key function looks at',
    path: 'header',
    asking: h({ 'x-shop': 'a' }),
    policy: { key: ({ request }) => (request as unknown as AnyRequest).headers['x-shop'] ?? '-' },
    judged: stored(),
  },
  {
    does: 'reads more than the key function looks at',
    path: 'query?q=1',
    policy: { key: () => 'all' },
    judged: unkeyed('query:q'),
  },
  {
    does: 'reads what a custom part covers',
    path: 'query?q=1',
    policy: { key: [byRoute(), custom((view) => String(view.query['q']))] },
    judged: stored(),
  },

  {
    does: 'sees the negotiated language and type',
    path: 'accept',
    asking: h({ accept: 'text/html;q=0.5,application/*', 'accept-language': 'fr-CH, de;q=0.9' }),
    policy: { key: [byRoute(), byLocale(['en', 'fr']), byAccept(['text/html', 'application/json'])] },
    judged: stored(),
    body: ['application/json', 'fr'],
  },
  {
    does: 'reads language and type',
    path: 'accept',
    asking: h({ accept: '*/*' }),
    judged: stored('accept', 'accept-language'),
    body: ['*/*', null],
  },
  {
    does: 'sees no conditions of the client',
    path: 'conditions',
    asking: h({ 'if-none-match': '"a"', range: 'bytes=0-1' }),
    judged: stored(),
    body: [null, null],
  },
];

describe.each(PLATFORMS)('a handler on %s that', (platform) => {
  it.each(cases)('$does: $judged', async ({ path, asking, policy = {}, reads, judged, body }) => {
    const ask = await probe(platform, [ReadingController], {
      base: policy,
      prepare: recognising,
      fill: { hide: CONDITIONAL_HEADERS },
    });
    const seen = await ask(`/at/home/${path}`, asking);
    expect(seen.bypass).toBeUndefined();
    if (reads !== undefined) expect(seen.reads).toEqual(reads);
    expect(seen.judgement).toEqual(judged);
    if (body !== undefined) expect(seen.body).toEqual(body);
  });

  it('reads the host of a trusted proxy is told that host, though its header is hidden', async () => {
    const ask = await probe(platform, [ReadingController], { trustProxy: true });
    const { body, view, judgement } = await ask('/at/home/host', {
      headers: { 'x-forwarded-host': 'shop.example', 'x-forwarded-proto': 'https' },
    });
    expect(view.host).toBe('shop.example');
    expect(body).toEqual(['shop.example', 'https', null]);
    expect(judgement).toEqual(stored());
  });

  it('revalidates sees the validators of the stored response', async () => {
    const ask = await probe(platform, [ReadingController], {
      fill: { hide: CONDITIONAL_HEADERS, set: { 'if-none-match': '"stored"' } },
    });
    const { body } = await ask('/at/home/conditions', { headers: { 'if-none-match': '"client"' } });
    expect(body).toEqual(['"stored"', null]);
  });

  it('has answered leaves the request as it was', async () => {
    const ask = await probe(platform, [ReadingController], {
      base: { cookies: [], key: [byRoute(), byParams(), byQuery([])] },
      prepare: recognising,
    });
    const seen: Seen = await ask('/at/home/nothing?a=1', {
      headers: { 'x-forwarded-host': 'evil', cookie: 'a=1', 'x-tenant': 't', 'x-parse': '1' },
    });
    const request = seen.view.request as unknown as AnyRequest;
    expect(request.headers).toMatchObject({ 'x-forwarded-host': 'evil', cookie: 'a=1' });
    expect((request.raw ?? request).rawHeaders).toContain('evil');
    expect({ ...request.query }).toEqual({ a: '1' });
    expect(request.originalUrl).toBe('/at/home/nothing?a=1');
    expect(request['tenant']).toBe('t');
    expect(request['cookies']).toEqual({ theme: 'dark', other: 'x' });
    for (const target of [request, request.raw ?? request]) {
      const getters = Object.entries(Object.getOwnPropertyDescriptors(target)).filter(
        ([, { get }]) => get !== undefined,
      );
      expect(getters.map(([name]) => name)).toEqual([]);
    }
  });
});

describe.each(PLATFORMS)('a handler on %s under the host of its controller', (platform) => {
  @Controller({ host: ':tenant.example' })
  class HostController {
    @Get('host')
    host(@HostParam('tenant') tenant: string) {
      return { tenant };
    }
  }

  it('reads a part of that host, which every key has', async () => {
    const ask = await probe(platform, [HostController]);
    const { body, judgement, key } = await ask('/host', { headers: { host: 'a.example' } });
    expect(body).toEqual({ tenant: 'a' });
    expect(judgement).toEqual(stored());
    expect(key).not.toBe((await ask('/host', { headers: { host: 'b.example' } })).key);
  });
});

describe.each(PLATFORMS)('a user on %s', (platform) => {
  it.each([
    ['default', byUser()],
    ['selected', byUser(({ user }) => (user as { id: string } | undefined)?.id)],
  ] as const)('is a principal of its own (%s)', async (_which, part) => {
    const ask = await probe(platform, [ReadingController], { base: { key: [byRoute(), part] }, prepare: recognising });
    const ann = await ask('/at/home/nothing', h({ 'x-user': 'ann', authorization: 'a' }));
    const bob = await ask('/at/home/nothing', h({ 'x-user': 'bob', authorization: 'a' }));
    const nobody = await ask('/at/home/nothing');
    expect(ann.page).toMatchObject({ partition: 'principal' });
    expect(ann.key).not.toBe(bob.key);
    expect(nobody.bypass).toBe('principal');
  });
});
