import 'reflect-metadata';
import { Controller, Get, Query, Req, type INestApplication } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byQuery, byRoute, byUrl, CachePage, CacheResponse, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { ask } from './wire/wire.client.js';

// What a guard has put into the parsed query is no part of the URL: the key says it, and caches in front are not told that the URL does.

interface Asked {
  query: Record<string, unknown>;
  readonly headers: Record<string, string | undefined>;
}

let runs = 0;
const answer = ({ query }: Asked): object => ({ run: ++runs, tenant: query['tenant'] ?? null });

@Controller()
class Pages {
  @Get('page')
  @CachePage('1m')
  page(@Req() request: Asked): object {
    return answer(request);
  }

  @Get('url')
  @CachePage({ ttl: '1m', key: [byRoute(), byUrl()] })
  url(@Req() request: Asked): object {
    return answer(request);
  }

  @Get('value')
  @CacheResponse('1m')
  value(@Req() request: Asked): object {
    return answer(request);
  }

  @Get('listed')
  @CachePage({ ttl: '1m', key: [byRoute(), byQuery(['tenant'])] })
  listed(@Query('tenant') tenant: string): object {
    return { run: ++runs, tenant: tenant ?? null };
  }

  @Get('lane')
  @CachePage({ ttl: '1m', public: true, beforeGuards: true })
  lane(@Req() request: Asked): object {
    return answer(request);
  }
}

describe.each<Platform>(['express', 'fastify'])('on %s', (platform) => {
  let url: string;
  beforeAll(async () => {
    const metadata = { imports: [TieredCacheModule.forRoot()], controllers: [Pages] };
    ({ url } = await serve(platform, metadata, (app: INestApplication) =>
      app.useGlobalGuards({
        canActivate(context) {
          const request = context.switchToHttp().getRequest<Asked>();
          const tenant = request.headers['x-tenant'];
          // Express makes it anew whenever it is asked.
          if (tenant !== undefined)
            Object.defineProperty(request, 'query', { configurable: true, value: { ...request.query, tenant } });
          return true;
        },
      }),
    ));
  });
  afterAll(closeAll);

  const get = async (
    path: string,
    tenant?: string,
  ): Promise<{ run: number; tenant: unknown; cacheControl: string }> => {
    const { body, headers } = await ask(`${url}/${path}`, {
      headers: tenant === undefined ? {} : { 'x-tenant': tenant },
    });
    return {
      ...(JSON.parse(body.toString()) as { run: number; tenant: unknown }),
      cacheControl: String(headers['cache-control']),
    };
  };

  it.each(['page', 'url', 'value', 'listed', 'lane'])(
    'tenants are told apart, each by an entry of its own: %s',
    async (path) => {
      const asked = path === 'lane' ? ['a', 'b', 'a', 'b'] : ['a', 'b', undefined, 'a', 'b', undefined];
      const got = [];
      for (const tenant of asked) got.push(await get(`${path}?x=1`, tenant));
      expect(got.map(({ tenant }) => tenant)).toEqual(asked.map((tenant) => tenant ?? null));
      expect(new Set(got.map(({ run }) => run)).size).toBe(asked.length / 2);
      if (path === 'value') return;
      for (const { tenant, cacheControl } of got)
        expect(cacheControl).toMatch(tenant === null ? /^(?!private)/ : /^private/);
    },
  );

  it.each(['', '?a=1', '?a=1&b=2&a=3', '?q=%C3%A4+%26&flag&e=', '?a=1&&b=2'])(
    'a query that nobody has changed is told by its URL: %s',
    async (query) => {
      const [first, second] = [await get(`page${query}`), await get(`page${query}`)];
      expect(second.run).toBe(first.run);
      expect(first.cacheControl).not.toContain('private');
    },
  );

  it('in any order', async () => {
    expect((await get('page?y=2&z=1')).run).toBe((await get('page?z=1&y=2')).run);
    expect((await get('page?y=2&z=1', 'a')).run).toBe((await get('page?z=1&y=2', 'a')).run);
  });
});
