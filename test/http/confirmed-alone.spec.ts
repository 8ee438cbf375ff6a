import 'reflect-metadata';
import { AsyncLocalStorage } from 'node:async_hooks';
import { Controller, Get, Param, Req, Res, type INestApplication } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { afterEach, describe, expect, it } from 'vitest';
import { CachePage, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { pass } from './passing-time.js';
import { ask } from './wire/wire.client.js';

// What confirms a page, a 304 or the answer to a HEAD, is made of its own request: its fields are not everybody's.

const tenants = new AsyncLocalStorage<string>();

type AnyRequest = { readonly method: string; readonly headers: Readonly<Record<string, string | undefined>> };

const READS: Readonly<Record<string, (request: AnyRequest) => string | undefined>> = {
  'a storage': () => tenants.getStore(),
  'a cookie': ({ headers }) => headers['cookie'],
  'a header': ({ headers }) => headers['x-flavour'],
};

@Controller()
class Pages {
  constructor(private readonly host: HttpAdapterHost) {}

  @Get(':read')
  @CachePage({ mode: 'rfc' })
  page(@Param('read') read: string, @Req() request: AnyRequest, @Res({ passthrough: true }) response: object): unknown {
    const set = (name: string, value: string): void => this.host.httpAdapter.setHeader(response, name, value);
    set('etag', '"v1"');
    set('cache-control', 'max-age=1');
    const isConfirmed = request.headers['if-none-match'] === '"v1"';
    if (isConfirmed || request.method === 'HEAD') set('x-seen', READS[read]?.(request) ?? 'nothing');
    if (!isConfirmed) return { a: 1 };
    this.host.httpAdapter.status(response, 304);
    return undefined;
  }
}

afterEach(closeAll);

async function start(
  platform: Platform,
): Promise<(read: string, client: string, method?: string) => ReturnType<typeof ask>> {
  const { url } = await serve(
    platform,
    { imports: [TieredCacheModule.forRoot()], controllers: [Pages] },
    (app: INestApplication) =>
      app.use(({ headers }: AnyRequest, _response: unknown, next: () => void) => {
        const tenant = headers['x-tenant'];
        if (tenant === undefined) next();
        else tenants.run(tenant, next);
      }),
  );
  return (read, client, method = 'GET') => {
    const headers = client === '' ? {} : { 'x-tenant': client, cookie: `id=${client}`, 'x-flavour': client };
    return ask(`${url}/${encodeURIComponent(read)}`, { method, headers });
  };
}

describe.each<Platform>(['express', 'fastify'])('on %s', (platform) => {
  it.each(Object.keys(READS).flatMap((read) => [['GET', read] as const, ['HEAD', read] as const]))(
    'a %s that confirms, and reads %s, is shown to no other client',
    async (method, read) => {
      const get = await start(platform);
      expect((await get(read, '')).headers['cache-status']).toContain('stored');
      pass(1100);
      const confirmed = await get(read, 'bob', method);
      expect(String(confirmed.headers['x-seen'])).toContain('bob');
      if (read !== 'a header') {
        expect(confirmed.headers['cache-status']).not.toContain('stored');
        if (method === 'GET') expect(confirmed.headers['cache-control']).toMatch(/private/);
      }
      for (const client of ['cid', '', 'cid'])
        expect(String((await get(read, client)).headers['x-seen'])).not.toContain('bob');
    },
  );
});
