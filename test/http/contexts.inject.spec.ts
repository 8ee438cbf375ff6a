import 'reflect-metadata';
import { AsyncLocalStorage } from 'node:async_hooks';
import { Controller, Get, Inject, type INestApplication } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CachePage, CacheResponse, CacheService, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve } from '../nest/boot.js';
import { ask } from './wire/wire.client.js';

// A handler that sends a request within its process has read what that one's handler reads.

let tenants: AsyncLocalStorage<string>;
beforeEach(() => void (tenants = new AsyncLocalStorage()));
afterEach(closeAll);

interface Injecting {
  inject(request: { url: string; headers: object }): Promise<{ body: string }>;
}

@Controller()
class Pages {
  constructor(
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
    readonly cache: CacheService,
  ) {}

  @Get('plain')
  plain(): object {
    return { tenant: tenants.getStore() ?? null };
  }

  @Get('page')
  @CachePage('1m')
  page(): object {
    return this.plain();
  }

  @Get('value')
  @CacheResponse('1m')
  value(): object {
    return this.plain();
  }

  @Get('page-of-plain')
  @CachePage('1m')
  pageOfPlain(): Promise<object> {
    return this.sent('/plain');
  }

  @Get('value-of-plain')
  @CacheResponse('1m')
  valueOfPlain(): Promise<object> {
    return this.sent('/plain');
  }

  @Get('page-of-page')
  @CachePage('1m')
  pageOfPage(): Promise<object> {
    return this.sent('/page');
  }

  @Get('value-of-value')
  @CacheResponse('1m')
  valueOfValue(): Promise<object> {
    return this.sent('/value');
  }

  private async sent(url: string): Promise<object> {
    const injecting = this.host.httpAdapter.getInstance<Injecting>();
    const { body } = await injecting.inject({ url, headers: { host: 'shop.example' } });
    return JSON.parse(body) as object;
  }
}

const PATHS = ['page-of-plain', 'value-of-plain', 'page-of-page', 'value-of-value'];
it.each(PATHS.flatMap((path) => [[path, true] as const, [path, false] as const]))(
  'the empty storage that it has found counts (%s, request tier: %s)',
  async (path, requestTier) => {
    const metadata = { imports: [TieredCacheModule.forRoot({ requestTier })], controllers: [Pages] };
    const { url } = await serve('fastify', metadata, (app: INestApplication) =>
      app.use(({ headers }: { headers: Record<string, string> }, _response: unknown, next: () => void) => {
        const tenant = headers['x-tenant'];
        if (tenant === undefined) next();
        else tenants.run(tenant, next);
      }),
    );
    const get = async (of: string, tenant?: string): Promise<unknown> => {
      const headers = { host: 'shop.example', ...(tenant !== undefined && { 'x-tenant': tenant }) };
      return JSON.parse((await ask(`${url}/${of}`, { headers })).body.toString());
    };
    // So that what is sent within the process is a hit.
    for (const of of ['page', 'value']) await get(of);
    for (let i = 0; i < 2; i++) expect(await get(path)).toEqual({ tenant: null });
    for (const tenant of ['bob', 'cid', 'bob']) expect(await get(path, tenant)).toEqual({ tenant });
    expect(await get(path)).toEqual({ tenant: null });
  },
);
