import 'reflect-metadata';
import {
  Controller,
  Get,
  Injectable,
  Param,
  UseInterceptors,
  type ExecutionContext,
  type Provider,
  type Type,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CacheInterceptor, CacheKey, CacheTTL } from '../../src/http/migration/index.js';
import { TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';

let runs = 0;
beforeEach(() => (runs = 0));
afterEach(closeAll);

@Controller('books')
class Books {
  @Get('all')
  @CacheKey('all books')
  @CacheTTL(60_000)
  all(): object {
    return { runs: ++runs };
  }

  @Get('short')
  @CacheTTL(() => 30)
  short(): object {
    return { runs: ++runs };
  }

  @Get('never')
  @CacheTTL(0)
  never(): object {
    return { runs: ++runs };
  }

  @Get(':id')
  @CacheKey('item')
  item(@Param('id') id: string): object {
    return { id, runs: ++runs };
  }
}

@Injectable()
class ByTenant extends CacheInterceptor {
  protected override trackBy(context: ExecutionContext): string | undefined {
    return context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['x-tenant'];
  }
}

@Controller('tenants')
@UseInterceptors(ByTenant)
class Tenants {
  @Get()
  one(): object {
    return { runs: ++runs };
  }
}

describe.each<Platform>(['express', 'fastify'])('the names of @nestjs/cache-manager on %s', (platform) => {
  const boot = async (
    controller: Type = Books,
    providers: Provider[] = [{ provide: APP_INTERCEPTOR, useClass: CacheInterceptor }],
  ): Promise<(path: string, headers?: Record<string, string>) => Promise<unknown>> => {
    const { url } = await serve(platform, {
      imports: [TieredCacheModule.forRoot()],
      controllers: [controller],
      providers,
    });
    return async (path, headers = {}) => (await fetch(url + path, { headers })).json();
  };

  it('cache what they are put on, under the key that is given', async () => {
    const get = await boot();
    expect([await get('/books/all'), await get('/books/all?page=2')]).toEqual([{ runs: 1 }, { runs: 1 }]);
  });

  it('take a lifetime in milliseconds, or a function; 0 stores nothing', async () => {
    const get = await boot();
    expect(await get('/books/short')).toEqual({ runs: 1 });
    await expect.poll(() => get('/books/short')).toEqual({ runs: 2 });
    runs = 0;
    expect([await get('/books/never'), await get('/books/never')]).toEqual([{ runs: 1 }, { runs: 2 }]);
  });

  it('do not serve item 1 for item 2 under one fixed key', async () => {
    const get = await boot();
    expect([await get('/books/1'), await get('/books/2')]).toMatchObject([{ id: '1' }, { id: '2' }]);
  });

  it('leave trackBy to subclasses; nothing to track by goes past the cache', async () => {
    const get = await boot(Tenants, []);
    const a = { 'x-tenant': 'a' };
    expect(await get('/tenants', a)).toEqual(await get('/tenants', a));
    expect(await get('/tenants', { 'x-tenant': 'b' })).not.toEqual(await get('/tenants', a));
    expect(await get('/tenants')).not.toEqual(await get('/tenants'));
  });

  it('keeps what two controllers say of a handler that both inherit apart', async () => {
    class Base {
      @Get()
      all(): object {
        return { runs: ++runs };
      }
    }
    @Controller('kept')
    @CacheTTL(60_000)
    class Kept extends Base {}
    @Controller('unkept')
    @CacheTTL(0)
    class Unkept extends Base {}
    const { url } = await serve(platform, {
      imports: [TieredCacheModule.forRoot()],
      controllers: [Kept, Unkept],
      providers: [{ provide: APP_INTERCEPTOR, useClass: CacheInterceptor }],
    });
    const seen: unknown[] = [];
    for (const path of ['kept', 'kept', 'unkept', 'unkept'])
      seen.push(((await (await fetch(`${url}/${path}`)).json()) as { runs: number }).runs);
    expect(seen).toEqual([1, 1, 2, 3]);
  });
});
