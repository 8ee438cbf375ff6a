import 'reflect-metadata';
import {
  Catch,
  Controller,
  DefaultValuePipe,
  ForbiddenException,
  Get,
  Header,
  HttpCode,
  Injectable,
  NotFoundException,
  Param,
  ParseIntPipe,
  Query,
  Redirect,
  Req,
  Res,
  UseFilters,
  UseGuards,
  UseInterceptors,
  VersioningType,
  VERSION_NEUTRAL,
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { map, type Observable } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  byParams,
  byQuery,
  byRoute,
  byUser,
  CachePage,
  CacheResponse,
  CacheService,
  NoCache,
  TieredCacheModule,
  type TieredCacheOptions,
} from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { ask, type Received } from './wire/wire.client.js';

afterEach(closeAll);

let runs = 0;
let denies = false;
beforeEach(() => {
  runs = 0;
  denies = false;
});

type Headers = Record<string, string | undefined>;
type Reply = { header(name: string, value: string): void; status(code: number): unknown };

@Injectable()
class Guard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<{ headers: Headers; user?: unknown }>();
    const { authorization } = request.headers;
    if (authorization) request.user = { id: authorization };
    if (denies || authorization === 'Bearer mallory') throw new ForbiddenException();
    return true;
  }
}

/** Further out than the cache of a handler: what it adds, it adds to hits as well. */
@Injectable()
class Timing implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const http = context.switchToHttp();
    const { headers } = http.getRequest<{ headers: Headers }>();
    const id = headers['x-request-id'] ?? 'none';
    return next.handle().pipe(
      map((value: unknown) => {
        http.getResponse<Reply>().header('x-answers', id);
        return value;
      }),
    );
  }
}

@Injectable()
class Envelope implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((value: unknown) => ({ data: value })));
  }
}

@Injectable()
class Translates implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<{ headers: Headers }>();
    return next
      .handle()
      .pipe(map((value: unknown) => ({ value, language: request.headers['accept-language'] ?? null })));
  }
}

@Catch(NotFoundException)
class Localised implements ExceptionFilter {
  catch(_exception: NotFoundException, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<{ headers: Headers }>();
    const response = host.switchToHttp().getResponse<Reply & { send(body: unknown): void }>();
    response.status(404);
    response.send({ message: request.headers['accept-language'] === 'de' ? 'fehlt' : 'missing' });
  }
}

@Controller('guarded')
@UseGuards(Guard)
class Guarded {
  @Get('page')
  @CachePage('1m')
  page(): object {
    return { run: ++runs };
  }
  @Get('value')
  @CacheResponse('1m')
  value(): object {
    return { run: ++runs };
  }
  @Get('user')
  @CachePage({ ttl: '1m', key: [byRoute(), byParams(), byQuery('*'), byUser()] })
  user(): object {
    return { run: ++runs };
  }
  @Get('public')
  @CachePage({ ttl: '1m', public: true })
  public(): object {
    return { run: ++runs };
  }
}

@Controller('piped')
@CachePage('1m')
class Piped {
  @Get('int/:id')
  int(@Param('id', ParseIntPipe) id: number): object {
    return { id, run: ++runs };
  }
  @Get('page')
  page(@Query('page', new DefaultValuePipe(1), ParseIntPipe) page: number): object {
    return { page, run: ++runs };
  }
  @Get('listed')
  @CachePage({ ttl: '1m', key: [byRoute(), byParams(), byQuery(['page'], { defaults: { page: '1' } })] })
  listed(@Query('page', new DefaultValuePipe(1), ParseIntPipe) page: number): object {
    return { page, run: ++runs };
  }
}

@Controller('as-without')
@CachePage({ ttl: '1m', negativeTtl: '1m' })
@UseInterceptors(Timing)
class AsWithout {
  @Get('no-cache')
  @NoCache()
  noCache(): object {
    return { run: ++runs };
  }
  @Get('moved')
  @Redirect('/somewhere', 301)
  moved(): void {
    runs++;
  }
  @Get('moved-by/:where')
  @Redirect('/nowhere', 302)
  movedBy(@Param('where') where: string): object {
    runs++;
    return { url: `/${where}`, statusCode: 308 };
  }
  @Get('code')
  @HttpCode(203)
  @Header('x-static', 'one')
  @Header('link', '<a>; rel="next"')
  code(): object {
    return { run: ++runs };
  }
  @Get('missing')
  missing(): void {
    runs++;
    throw new NotFoundException('not here');
  }
  @Get('localised')
  @UseFilters(Localised)
  localised(): void {
    runs++;
    throw new NotFoundException();
  }
  @Get('late')
  late(): object {
    return { run: ++runs };
  }
}

@Controller('enveloped')
@UseInterceptors(Envelope, Translates)
class Enveloped {
  @Get('page')
  @CachePage('1m')
  page(): object {
    return { run: ++runs };
  }
  @Get('value')
  @CacheResponse('1m')
  value(): object {
    return { run: ++runs };
  }
}

@Controller('policies')
class Policies {
  @Get('ttl')
  @CachePage({ ttl: (view) => (view.query['short'] === '1' ? '10s' : '1m') })
  ttl(): object {
    return { run: ++runs };
  }
  @Get('tags/:id')
  @CachePage({ ttl: '1m', tags: ({ headers }: { headers: Headers }) => [`book:${headers['x-book']}`] })
  tags(@Param('id') id: string, @Res({ passthrough: true }) response: Reply): object {
    response.header('x-book', id);
    return { run: ++runs };
  }
  @Get('value-tags/:id')
  @CacheResponse({ ttl: '1m', tags: (value: { id: string }) => [`book:${value.id}`] })
  valueTags(@Param('id') id: string): object {
    return { id, run: ++runs };
  }
  @Get('bad-tags')
  @CachePage({
    ttl: '1m',
    tags: () => {
      throw new TypeError('no such thing');
    },
  })
  badTags(): object {
    return { run: ++runs };
  }
  @Get('bypass')
  @CachePage({ ttl: '1m', bypass: (view) => view.headers['x-preview'] === '1' })
  bypass(): object {
    return { run: ++runs };
  }
  @Get('veto')
  @CachePage({ ttl: '1m', shouldCache: ({ headers }) => headers['x-partial'] === undefined })
  veto(@Query('partial') partial: string | undefined, @Res({ passthrough: true }) response: Reply): object {
    if (partial) response.header('x-partial', '1');
    return { run: ++runs };
  }
  @Get('flood')
  @CachePage({ ttl: '1m', maxVariants: 3 })
  flood(@Req() request: { headers: Headers }): object {
    return { flavour: request.headers['x-flavour'] ?? null, run: ++runs };
  }
  @Get('negative')
  @CachePage({ ttl: '1m', negativeTtl: '5s' })
  negative(): object {
    runs++;
    throw new NotFoundException();
  }
  @Get('not-negative')
  @CachePage('1m')
  notNegative(): object {
    runs++;
    throw new NotFoundException();
  }
  @Get('downstream')
  @CachePage({ ttl: '1m', downstream: 'public, max-age=5' })
  downstream(): object {
    return { run: ++runs };
  }
  @Get('silent')
  @CachePage({ ttl: '1m', downstream: false })
  silent(): object {
    return { run: ++runs };
  }
}

@Controller({ path: 'versioned', version: ['1', '2'] })
class Versioned {
  @Get()
  @CachePage({ ttl: '1m', key: () => 'all' })
  both(): object {
    return { run: ++runs };
  }
}
@Controller({ path: 'versioned', version: '3' })
class Third {
  @Get()
  @CachePage({ ttl: '1m', key: () => 'all' })
  third(): string {
    return 'third';
  }
}
@Controller({ path: 'versioned', version: VERSION_NEUTRAL })
class Neutral {
  @Get()
  @CachePage({ ttl: '1m', key: () => 'all' })
  neutral(): string {
    return 'neutral';
  }
}

@Controller('values')
@CacheResponse('1m')
class Values {
  @Get('says')
  says(@Query() query: Record<string, string>, @Res({ passthrough: true }) response: Reply): object {
    const { status, ...fields } = query;
    for (const [name, value] of Object.entries(fields)) response.header(name, value);
    if (status) response.status(Number(status));
    return { run: ++runs };
  }
  @Get('method')
  method(@Req() request: { method: string }): object {
    return { method: request.method, run: ++runs };
  }
  @Get('part')
  part(@Req() request: { headers: Headers }): string {
    runs++;
    return request.headers['range'] ? 'part' : 'whole';
  }
}

const json = ({ body }: Received): unknown => JSON.parse(body.toString());
const status = ({ headers }: Received): string => String(headers['cache-status']);

describe.each<Platform>(['express', 'fastify'])('a cached route on %s', (platform) => {
  const start = async (
    options: TieredCacheOptions = {},
    versioning = false,
  ): Promise<{
    get: (path: string, headers?: Record<string, string>, method?: string) => Promise<Received>;
    cache: CacheService;
  }> => {
    const controllers = [Guarded, Piped, AsWithout, Enveloped, Policies, Values];
    const versions = [Versioned, Third, Neutral];
    const { app, url } = await serve(
      platform,
      { imports: [TieredCacheModule.forRoot(options)], controllers: versioning ? versions : controllers },
      (application) => {
        if (versioning) application.enableVersioning({ type: VersioningType.HEADER, header: 'x-version' });
      },
    );
    return {
      get: (path, headers = {}, method = 'GET') => ask(url + path, { headers, method }),
      cache: app.get(CacheService),
    };
  };

  describe('behind a guard', () => {
    it.each(['page', 'value', 'public'])('%s: is denied on a hit as on a miss', async (path) => {
      const { get } = await start();
      denies = true;
      expect([(await get(`/guarded/${path}`)).status, runs]).toEqual([403, 0]);
      denies = false;
      await get(`/guarded/${path}`);
      expect(json(await get(`/guarded/${path}`))).toEqual({ run: 1 });
      expect((await get(`/guarded/${path}`, { authorization: 'Bearer mallory' })).status).toBe(403);
      denies = true;
      for (const method of ['GET', 'HEAD']) expect((await get(`/guarded/${path}`, {}, method)).status).toBe(403);
      expect((await get(`/guarded/${path}`, { 'if-none-match': '*' })).status).toBe(403);
      denies = false;
      expect(json(await get(`/guarded/${path}`))).toEqual({ run: 1 });
    });

    it('keeps users apart, promises it to nobody else, and is for nobody without one', async () => {
      const { get } = await start();
      const [ann, bob] = [{ authorization: 'Bearer ann' }, { authorization: 'Bearer bob' }];
      for (const round of [1, 2]) {
        expect(json(await get('/guarded/user', ann)), String(round)).toEqual({ run: 1 });
        expect(json(await get('/guarded/user', bob)), String(round)).toEqual({ run: 2 });
      }
      expect((await get('/guarded/user', ann)).headers['cache-control']).toMatch(/^private, max-age=/);
      expect(json(await get('/guarded/user'))).toEqual({ run: 3 });
      expect(json(await get('/guarded/user'))).toEqual({ run: 4 });
      denies = true;
      expect((await get('/guarded/user', ann)).status).toBe(403);
    });
  });

  describe('with pipes: raw values make the key', () => {
    it('a value that a pipe refuses is refused on a hit, too', async () => {
      const { get } = await start();
      expect(json(await get('/piped/int/7'))).toEqual({ id: 7, run: 1 });
      expect(json(await get('/piped/int/7'))).toEqual({ id: 7, run: 1 });
      expect((await get('/piped/int/x')).status).toBe(400);
      expect((await get('/piped/int/x')).status).toBe(400);
    });

    it('spellings that a pipe takes for one have an entry each', async () => {
      const { get } = await start();
      expect(json(await get('/piped/int/7'))).toEqual({ id: 7, run: 1 });
      expect(json(await get('/piped/int/07'))).toEqual({ id: 7, run: 2 });
    });

    it('a default that only a pipe knows splits: absent and default are two entries, never one answer for two', async () => {
      const { get } = await start();
      expect(json(await get('/piped/page'))).toEqual({ page: 1, run: 1 });
      expect(json(await get('/piped/page?page=1'))).toEqual({ page: 1, run: 2 });
      expect(json(await get('/piped/page?page=2'))).toEqual({ page: 2, run: 3 });
      expect(json(await get('/piped/page'))).toEqual({ page: 1, run: 1 });
    });

    it('a default that the key knows joins', async () => {
      const { get } = await start();
      expect(json(await get('/piped/listed'))).toEqual({ page: 1, run: 1 });
      expect(json(await get('/piped/listed?page=1'))).toEqual({ page: 1, run: 1 });
      expect(json(await get('/piped/listed?page=2'))).toEqual({ page: 2, run: 2 });
      expect(json(await get('/piped/listed?page=1&junk=1'))).toEqual({ page: 1, run: 1 });
    });
  });

  describe('behaves as without a cache', () => {
    it('@NoCache', async () => {
      const { get } = await start();
      expect([json(await get('/as-without/no-cache')), json(await get('/as-without/no-cache'))]).toEqual([
        { run: 1 },
        { run: 2 },
      ]);
      expect((await get('/as-without/no-cache')).headers['cache-status']).toBeUndefined();
    });

    it('@Redirect, static and by what the handler returns', async () => {
      const { get } = await start();
      for (const [path, code, location] of [
        ['moved', 301, '/somewhere'],
        ['moved-by/here', 308, '/here'],
        ['moved-by/there', 308, '/there'],
      ] as const) {
        const before = runs;
        for (let round = 0; round < 3; round++) {
          const { status: got, headers } = await get(`/as-without/${path}`);
          expect([got, headers.location]).toEqual([code, location]);
        }
        expect(runs).toBe(before + 1);
      }
    });

    it('@HttpCode and @Header', async () => {
      const { get } = await start();
      for (let round = 0; round < 3; round++) {
        const { status: got, headers } = await get('/as-without/code');
        expect([got, headers['x-static'], headers.link]).toEqual([203, 'one', '<a>; rel="next"']);
      }
      expect(runs).toBe(1);
    });

    it('exception filters, the answer of which is kept if the policy asks for it, by what it was made of', async () => {
      const { get } = await start();
      for (let round = 0; round < 2; round++) {
        const missing = await get('/as-without/missing');
        expect([missing.status, json(missing)]).toEqual([
          404,
          { message: 'not here', error: 'Not Found', statusCode: 404 },
        ]);
      }
      expect(runs).toBe(1);
      for (let round = 0; round < 2; round++) {
        for (const [language, message] of [
          ['de', 'fehlt'],
          ['en', 'missing'],
        ] as const) {
          const got = await get('/as-without/localised', { 'accept-language': language });
          expect([got.status, json(got)]).toEqual([404, { message }]);
        }
      }
    });

    it('interceptors further out: headers of each answer', async () => {
      const { get } = await start();
      for (const id of ['a', 'b', 'c'])
        expect((await get('/as-without/late', { 'x-request-id': id })).headers['x-answers']).toBe(id);
    });

    it('interceptors further out: what they make of a value, once and in the language of the client', async () => {
      const { get } = await start();
      for (let round = 0; round < 2; round++) {
        for (const [at, language] of ['de', 'en'].entries()) {
          const page = await get('/enveloped/page', { 'accept-language': language });
          expect(json(page)).toEqual({ data: { value: { run: at + 1 }, language } });
          expect(page.headers.vary?.toLowerCase()).toContain('accept-language');
        }
      }
      runs = 0;
      for (const language of ['de', 'en', 'de'])
        expect(json(await get('/enveloped/value', { 'accept-language': language }))).toEqual({
          data: { value: { run: 1 }, language },
        });
    });

    it('versions: handlers may share a key, their versions do not', async () => {
      const { get } = await start({}, true);
      for (let round = 0; round < 2; round++) {
        expect(json(await get('/versioned', { 'x-version': '1' }))).toEqual({ run: 1 });
        expect((await get('/versioned', { 'x-version': '3' })).body.toString()).toBe('third');
        expect((await get('/versioned')).body.toString()).toBe('neutral');
      }
    });
  });

  describe('by its policy', () => {
    it('ttl of the request', async () => {
      const { get } = await start();
      expect((await get('/policies/ttl')).headers['cache-control']).toBe('max-age=60');
      expect((await get('/policies/ttl?short=1')).headers['cache-control']).toBe('max-age=10');
    });

    it.each(['tags', 'value-tags'])('%s of the result', async (path) => {
      const { get, cache } = await start();
      for (const id of ['1', '2']) await get(`/policies/${path}/${id}`);
      await cache.invalidateTags(['book:1']);
      expect(json(await get(`/policies/${path}/2`))).toMatchObject({ run: 2 });
      expect(json(await get(`/policies/${path}/1`))).toMatchObject({ run: 3 });
    });

    it('a function that throws costs nobody his answer', async () => {
      const { get } = await start();
      const answers = await Promise.all(Array.from({ length: 5 }, () => get('/policies/bad-tags')));
      expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200, 200]);
      expect((await get('/policies/bad-tags')).status).toBe(200);
    });

    it('bypass', async () => {
      const { get } = await start();
      expect(json(await get('/policies/bypass', { 'x-preview': '1' }))).toEqual({ run: 1 });
      expect(json(await get('/policies/bypass'))).toEqual({ run: 2 });
      expect(json(await get('/policies/bypass', { 'x-preview': '1' }))).toEqual({ run: 3 });
      expect(json(await get('/policies/bypass'))).toEqual({ run: 2 });
    });

    it('shouldCache', async () => {
      const { get } = await start();
      for (const run of [1, 2]) expect(json(await get('/policies/veto?partial=1'))).toEqual({ run });
      for (let round = 0; round < 2; round++) expect(json(await get('/policies/veto'))).toEqual({ run: 3 });
    });

    it('maxVariants: a flood of made-up values is answered, and not stored', async () => {
      const { get } = await start();
      const ask_ = (flavour: string): Promise<Received> => get('/policies/flood', { 'x-flavour': flavour });
      for (let at = 0; at < 20; at++) expect(json(await ask_(`f${at}`))).toEqual({ flavour: `f${at}`, run: at + 1 });
      for (const at of [0, 1, 2]) expect(json(await ask_(`f${at}`))).toEqual({ flavour: `f${at}`, run: at + 1 });
      expect(json(await ask_('f10'))).toEqual({ flavour: 'f10', run: 21 });
    });

    it('negativeTtl', async () => {
      const { get } = await start();
      for (let round = 0; round < 2; round++) {
        const got = await get('/policies/negative');
        expect([got.status, runs]).toEqual([404, 1]);
        expect(got.headers['cache-control']).toMatch(/^max-age=[45]$/);
      }
      for (const run of [2, 3]) expect([(await get('/policies/not-negative')).status, runs]).toEqual([404, run]);
    });

    it('downstream', async () => {
      const { get } = await start();
      for (let round = 0; round < 2; round++) {
        expect((await get('/policies/downstream')).headers['cache-control']).toBe('public, max-age=5');
        expect((await get('/policies/silent')).headers['cache-control'] ?? 'none').toBe('none');
      }
      expect(runs).toBe(2);
    });

    it('conditions on a cold route: the client has its 304, the cache the whole page', async () => {
      const first = await start();
      const { etag } = (await first.get('/policies/ttl')).headers;
      await closeAll();
      runs = 0;
      const { get } = await start();
      const cold = await get('/policies/ttl', { 'if-none-match': String(etag) });
      expect([cold.status, cold.body.length]).toEqual([304, 0]);
      const next = await get('/policies/ttl');
      expect([next.status, json(next), status(next)]).toEqual([200, { run: 1 }, expect.stringContaining('; hit')]);
    });
  });

  describe('values', () => {
    it.each([
      ['cache-control=PRIVATE'],
      ['cache-control=No-Store'],
      ['vary=*'],
      ['vary=X-Anything'],
      ['set-cookie=a%3D1'],
      ['status=206'],
      ['status=404'],
      ['status=500'],
    ])('are not kept when their response says %s', async (query) => {
      const { get } = await start();
      expect(json(await get(`/values/says?${query}`))).toEqual({ run: 1 });
      expect(json(await get(`/values/says?${query}`))).toEqual({ run: 2 });
      expect(json(await get('/values/says'))).toEqual({ run: 3 });
      expect(json(await get('/values/says'))).toEqual({ run: 3 });
    });

    it('of a HEAD are nothing for GET', async () => {
      const { get } = await start();
      await get('/values/method', {}, 'HEAD');
      expect(json(await get('/values/method'))).toEqual({ method: 'GET', run: 2 });
      await get('/values/method', {}, 'HEAD');
      expect(runs).toBe(2);
    });

    it('are whole, whatever range was asked for', async () => {
      const { get } = await start();
      expect((await get('/values/part', { range: 'bytes=0-1' })).body.toString()).toBe('whole');
      expect((await get('/values/part')).body.toString()).toBe('whole');
      expect(runs).toBe(1);
    });
  });
});
