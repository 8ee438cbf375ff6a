import 'reflect-metadata';
import {
  Controller,
  Get,
  Header,
  HttpCode,
  Injectable,
  Param,
  Query,
  Req,
  SetMetadata,
  UseGuards,
  UseInterceptors,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { map, of, type Observable } from 'rxjs';
import { afterEach, describe, expect, it } from 'vitest';
import { Cached, CacheService, TieredCacheModule, WithRequestCache } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';

afterEach(closeAll);

@Injectable()
class NamedGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const role = this.reflector.get<string>('role', context.getHandler());
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    return headers['x-role'] === role;
  }
}

@Injectable()
class Wrap implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((run) => ({ run })));
  }
}

let runs = 0;

@Controller('books')
class BooksController {
  // All below @Cached().
  @Cached()
  @Get('below/:id')
  @Header('x-shelf', 'low')
  @HttpCode(202)
  @SetMetadata('role', 'reader')
  @UseGuards(NamedGuard)
  @UseInterceptors(Wrap)
  async below(@Param('id') _id: string, @Query('page') _page?: string): Promise<number> {
    return ++runs;
  }

  // All above.
  @Get('above/:id')
  @Header('x-shelf', 'high')
  @HttpCode(203)
  @SetMetadata('role', 'writer')
  @UseGuards(NamedGuard)
  @UseInterceptors(Wrap)
  @Cached()
  async above(@Param('id') _id: string): Promise<number> {
    return ++runs;
  }

  @Get('none')
  @Cached()
  @WithRequestCache()
  async none(): Promise<string> {
    return `run ${++runs}`;
  }

  @Get('observed')
  @Cached({ returns: 'observable' })
  observed(@Query('q') q: string): Observable<string> {
    return of(`${q} ${++runs}`);
  }

  @Get('request')
  @Cached()
  async request(@Query('q') _q: string, @Req() _request: object): Promise<number> {
    return ++runs;
  }
}

describe.each<Platform>(['express', 'fastify'])('a cached handler on %s', (platform) => {
  const start = async (): Promise<{ url: string; cache: CacheService; log: string[] }> => {
    runs = 0;
    const log: string[] = [];
    const quiet = (): void => undefined;
    const { app, url } = await serve(
      platform,
      { imports: [TieredCacheModule.forRoot()], controllers: [BooksController] },
      (each) => each.useLogger({ log: quiet, warn: quiet, error: (error: unknown) => void log.push(String(error)) }),
    );
    return { url: `${url}/books`, cache: app.get(CacheService), log };
  };

  it.each([
    ['below', 'reader', 'low', 202],
    ['above', 'writer', 'high', 203],
  ])('keeps the metadata of the decorators %s it', async (path, role, shelf, status) => {
    const { url } = await start();
    const get = (id: string, headers: Record<string, string> = { 'x-role': role }): Promise<Response> =>
      fetch(`${url}/${path}/${id}`, { headers });
    for (let i = 0; i < 2; i++) {
      const answer = await get('1');
      expect([answer.status, answer.headers.get('x-shelf'), await answer.json()]).toEqual([status, shelf, { run: 1 }]);
    }
    expect(await (await get('2')).json()).toEqual({ run: 2 });
    // The guard is asked before what is cached is given.
    expect((await get('1', {})).status).toBe(403);
  });

  it('is keyed by the parameters it declares', async () => {
    const { url, log } = await start();
    const get = async (path: string): Promise<string> => (await fetch(url + path)).text();
    expect([await get('/none'), await get('/none?a=1')]).toEqual(['run 1', 'run 1']);
    expect([await get('/observed?q=a'), await get('/observed?q=a'), await get('/observed?q=b')]).toEqual([
      'a 2',
      'a 2',
      'b 3',
    ]);
    expect((await fetch(`${url}/request?q=1`)).status).toBe(500);
    expect(log.join()).toMatch(/argument 2 of BooksController\.request is an instance of \w+;.* let the option "key"/);
  });

  it('keeps its name and its length', () => {
    expect([BooksController.prototype.below.name, BooksController.prototype.below.length]).toEqual(['below', 2]);
    expect([BooksController.prototype.observed.name, BooksController.prototype.observed.length]).toEqual([
      'observed',
      1,
    ]);
    expect(Reflect.getMetadata('role', BooksController.prototype.below)).toBe('reader');
  });
});
