import 'reflect-metadata';
import {
  Controller,
  Get,
  Injectable,
  Logger,
  Param,
  Req,
  Scope,
  UseGuards,
  UseInterceptors,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
  type Provider,
  type Type,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { MessagePattern } from '@nestjs/microservices';
import { firstValueFrom, map, of, type Observable } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CacheInterceptor } from '../../src/http/migration/index.js';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { ResponseCacheGuard } from '../../src/http/response-cache.guard.js';
import { ResponseCaches } from '../../src/http/response-caches.js';
import {
  CachePage,
  NoCache,
  ResponseCacheInterceptor,
  TieredCacheModule,
  byParams,
  byRoute,
  byTenant,
  custom,
  type ResponseCachePolicy,
} from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { ask } from './wire/wire.client.js';

// What an interceptor outside of the cache's reads, before it lets the request go on, is part of what is answered, and so of what is stored.

afterEach(closeAll);

type Headers = Record<string, string>;
interface AnyRequest {
  readonly headers: Record<string, string | undefined>;
  readonly query: Record<string, unknown>;
  /** Middleware has put them on Node's request. */
  readonly raw?: { readonly cookies?: Record<string, string> };
  readonly cookies?: Record<string, string>;
  user?: { id: string };
  shop?: string;
}
type Look = (request: AnyRequest) => unknown;

/** What the interceptor of a test looks at. */
let look: Look = () => null;
let runs = 0;
beforeEach(() => {
  look = () => null;
  runs = 0;
});

const requestOf = (context: ExecutionContext): AnyRequest => context.switchToHttp().getRequest<AnyRequest>();

/** Reads first, answers with it later: nothing of the request is touched any more when the answer passes. */
@Injectable()
class ReadsBefore implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const seen = look(requestOf(context));
    return next.handle().pipe(map((value: object) => ({ ...value, seen })));
  }
}

/** Has the handler run, and reads while it does. */
@Injectable()
class ReadsMeanwhile implements NestInterceptor {
  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const answer = firstValueFrom(next.handle() as Observable<object>);
    const seen = look(requestOf(context));
    return of({ ...(await answer), seen });
  }
}

/** Takes the headers along, and reads when the answer is there. */
@Injectable()
class ReadsLate implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { headers, query, raw, cookies } = requestOf(context);
    const taken = { headers, query, cookies: cookies ?? raw?.cookies } as AnyRequest;
    return next.handle().pipe(map((value: object) => ({ ...value, seen: look(taken) })));
  }
}

@Injectable()
class KnowsUsers implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = requestOf(context);
    const { authorization } = request.headers;
    if (authorization !== undefined) request.user = { id: authorization };
    return true;
  }
}

interface Setup {
  readonly controllers?: Type[];
  readonly providers?: Provider[];
  readonly prepare?: (app: INestApplication) => unknown;
}

const parseCookies = (app: INestApplication): unknown =>
  app.use((request: AnyRequest & { cookies?: unknown }, _response: unknown, next: () => void) => {
    request.cookies = Object.fromEntries((request.headers['cookie'] ?? '').split('; ').map((pair) => pair.split('=')));
    next();
  });

/** Where an interceptor stands outside of the cache's. */
const PLACES: Record<string, (outer: Type<NestInterceptor>, policy: ResponseCachePolicy) => Setup> = {
  'global, by provider': (outer, policy) => ({
    controllers: [pages(CachePage(policy))],
    providers: [{ provide: APP_INTERCEPTOR, useClass: outer }],
  }),
  'global, by instance': (outer, policy) => ({
    controllers: [pages(CachePage(policy))],
    prepare: (app) => app.useGlobalInterceptors(new outer()),
  }),
  'of the controller': (outer, policy) => ({ controllers: [pages(CachePage(policy), UseInterceptors(outer))] }),
  'of the controller, which is cached': (outer, policy) => ({
    controllers: [pages(undefined, CachePage(policy), UseInterceptors(outer))],
  }),
  'of the handler, below @CachePage': (outer, policy) => ({
    controllers: [pages([CachePage(policy), UseInterceptors(outer)])],
  }),
  'of the handler, above @CachePage': (outer, policy) => ({
    controllers: [pages([UseInterceptors(outer), CachePage(policy)])],
  }),
  'global, before the cache': (outer, policy) => ({
    controllers: [pages(CachePage(policy))],
    providers: [
      { provide: APP_INTERCEPTOR, useClass: outer },
      { provide: APP_INTERCEPTOR, useClass: ResponseCacheInterceptor },
    ],
  }),
};

function pages(onHandler: MethodDecorator | MethodDecorator[] = [], ...onClass: ClassDecorator[]): Type {
  class Pages {
    page(id: string): object {
      return { id, run: ++runs };
    }
  }
  const { prototype } = Pages;
  const descriptor = Object.getOwnPropertyDescriptor(prototype, 'page') as PropertyDescriptor;
  Param('id')(prototype, 'page', 0);
  for (const decorate of [onHandler].flat().toReversed()) decorate(prototype, 'page', descriptor);
  Get('pages/:id')(prototype, 'page', descriptor);
  for (const decorate of onClass.toReversed()) decorate(Pages);
  UseGuards(KnowsUsers)(Pages);
  Controller()(Pages);
  return Pages;
}

interface Case {
  readonly look: Look;
  /** What two clients send, and what of it is answered. */
  readonly clients: ReadonlyArray<{ readonly headers?: Headers; readonly query?: string; readonly seen: unknown }>;
  /** Handlers run for two requests of each. */
  readonly runs: 1 | 2 | 4;
  readonly policy?: ResponseCachePolicy;
}

const READS: Record<string, Case> = {
  'a header': {
    look: ({ headers }) => headers['accept-language'],
    clients: [
      { headers: { 'accept-language': 'en' }, seen: 'en' },
      { headers: { 'accept-language': 'de' }, seen: 'de' },
    ],
    runs: 2,
  },
  'all headers': {
    look: ({ headers }) => ({ ...headers })['x-shop'],
    clients: [
      { headers: { 'x-shop': 'north' }, seen: 'north' },
      { headers: { 'x-shop': 'south' }, seen: 'south' },
    ],
    runs: 4,
  },
  'the Cookie header': {
    look: ({ headers }) => headers['cookie'],
    clients: [
      { headers: { cookie: 'theme=dark' }, seen: 'theme=dark' },
      { headers: { cookie: 'theme=light' }, seen: 'theme=light' },
    ],
    runs: 4,
  },
  'a cookie that middleware has parsed': {
    look: ({ cookies, raw }) => (cookies ?? raw?.cookies)?.['theme'],
    clients: [{ headers: { cookie: 'theme=dark' }, seen: 'dark' }],
    runs: 2,
  },
  'a query parameter that is in no key': {
    look: ({ query }) => query['shop'],
    clients: [
      { query: 'shop=north', seen: 'north' },
      { query: 'shop=south', seen: 'south' },
    ],
    runs: 4,
    policy: { key: [custom(({ params }) => params['id'] as string)] },
  },
  credentials: {
    look: ({ headers }) => headers['authorization'],
    clients: [
      { headers: { authorization: 'ann' }, seen: 'ann' },
      { headers: { authorization: 'bob' }, seen: 'bob' },
    ],
    runs: 4,
    policy: { public: true },
  },
  'a forwarded host, which is hidden': {
    look: ({ headers }) => headers['x-forwarded-host'] ?? null,
    clients: [
      { headers: { 'x-forwarded-host': 'evil.example' }, seen: null },
      { headers: { 'x-forwarded-host': 'other.example' }, seen: null },
    ],
    runs: 1,
  },
};

type Answer = { readonly run: number; readonly seen: unknown; readonly [name: string]: unknown };

async function get(url: string, headers: Headers = {}): Promise<Answer> {
  return JSON.parse((await ask(url, { headers })).body.toString()) as Answer;
}

describe.each<Platform>(['express', 'fastify'])('an interceptor outside of the cache, on %s', (platform) => {
  const start = async ({ controllers = [], providers = [], prepare }: Setup): Promise<string> => {
    const { url } = await serve(platform, { imports: [TieredCacheModule.forRoot()], controllers, providers }, (app) => {
      parseCookies(app);
      return prepare?.(app);
    });
    return url;
  };

  describe.each(Object.keys(PLACES))('%s', (place) => {
    it.each(Object.keys(READS))('that reads %s', async (what) => {
      const { look: looks, clients, policy = {}, ...expected } = READS[what] as Case;
      look = looks;
      for (const outer of [ReadsBefore, ReadsMeanwhile, ReadsLate]) {
        runs = 0;
        const url = await start(PLACES[place]!(outer, { ttl: '1m', ...policy }));
        for (const { headers, query = '', seen } of [...clients, ...clients])
          expect((await get(`${url}/pages/1?${query}`, headers)).seen, outer.name).toEqual(seen);
        expect(runs, outer.name).toBe(expected.runs);
        await closeAll();
      }
    });
  });

  it('that reads the user whom a guard has recognised makes a public page one of nobody else', async () => {
    look = ({ user }) => user?.id ?? null;
    for (const outer of [ReadsBefore, ReadsMeanwhile]) {
      runs = 0;
      const url = await start(PLACES['global, by provider']!(outer, { ttl: '1m', public: true }));
      for (const name of ['ann', 'bob', 'ann'])
        expect((await get(`${url}/pages/1`, { authorization: name })).seen).toBe(name);
      expect(runs).toBe(3);
    }
  });

  it('that reads nothing leaves a page shared, whatever guards have read', async () => {
    const url = await start(PLACES['global, by provider']!(ReadsBefore, { ttl: '1m', public: true }));
    for (const name of ['ann', 'bob']) await get(`${url}/pages/1`, { authorization: name });
    expect(runs).toBe(1);
  });

  it('that names the shop, which the key asks for, has a page for each shop', async () => {
    // By a way that nobody can see.
    let shop = '';
    @Injectable()
    class NamesShop implements NestInterceptor {
      intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
        requestOf(context).shop = shop;
        const named = shop;
        return next.handle().pipe(map((value: object) => ({ ...value, seen: named })));
      }
    }
    const ofShop = (view: { request: object }): string | undefined => (view.request as AnyRequest).shop;
    for (const component of [custom(ofShop), byTenant(ofShop)]) {
      runs = 0;
      const key = [byRoute(), byParams(), component];
      const url = await start(PLACES['global, by provider']!(NamesShop, { ttl: '1m', key }));
      const seen: unknown[] = [];
      for (shop of ['north', 'south', 'north', 'south', 'north', 'south'])
        seen.push((await get(`${url}/pages/1`)).seen);
      expect(seen).toEqual(['north', 'south', 'north', 'south', 'north', 'south']);
      // The first one shows that the key is made of what an interceptor says; it is not stored.
      expect(runs).toBe(3);
    }
  });

  it('that puts something on the request which the handler reads keeps the page from being stored', async () => {
    let shop = '';
    @Injectable()
    class NamesShop implements NestInterceptor {
      intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
        requestOf(context).shop = shop;
        return next.handle();
      }
    }
    @Controller()
    class Shops {
      @Get('shop')
      @CachePage('1m')
      shop(@Req() request: AnyRequest): object {
        return { seen: request.shop };
      }
    }
    const url = await start({
      controllers: [Shops],
      providers: [{ provide: APP_INTERCEPTOR, useClass: NamesShop }],
    });
    for (shop of ['north', 'south']) expect((await get(`${url}/shop`)).seen).toBe(shop);
  });

  it('is run again when its page is refreshed, and what it reads then counts', async () => {
    look = ({ headers }) => headers['accept-language'];
    const policy: ResponseCachePolicy = { ttl: '1m', freshFor: 1 };
    const url = await start(PLACES['global, by provider']!(ReadsBefore, policy));
    const of = (language: string): Promise<Answer> => get(`${url}/pages/1`, { 'accept-language': language });
    expect([(await of('en')).seen, (await of('de')).seen]).toEqual(['en', 'de']);
    for (const language of ['en', 'de']) {
      const before = (await of(language)).run;
      await vi.waitFor(async () => {
        const now = await of(language);
        expect(now.seen).toBe(language);
        expect(now.run).toBeGreaterThan(before);
      });
    }
    // By now it reads what may not be shared: nothing of that is kept, and the page stays what it was until its time is over.
    look = ({ headers }) => headers['cookie'];
    const before = runs;
    await vi.waitFor(async () => {
      expect((await get(`${url}/pages/1`, { 'accept-language': 'en', cookie: 'theme=dark' })).seen).toBe('en');
      expect(runs).toBeGreaterThan(before);
    });
    expect((await of('en')).seen).toBe('en');
  });

  it('sees the request as it came once it has answered by itself', async () => {
    const seen: unknown[] = [];
    @Injectable()
    class Answers implements NestInterceptor {
      intercept(context: ExecutionContext): Observable<unknown> {
        const { headers } = requestOf(context);
        return of({ seen: headers['x-forwarded-host'] ?? null });
      }
    }
    const url = await start({
      ...PLACES['global, by provider']!(Answers, { ttl: '1m' }),
      prepare: (app) =>
        app.use((request: AnyRequest, response: NodeJS.EventEmitter, next: () => void) => {
          response.once('finish', () => seen.push(request.headers['x-forwarded-host']));
          next();
        }),
    });
    expect((await get(`${url}/pages/1`, { 'x-forwarded-host': 'a.example' })).seen).toBeNull();
    expect(seen).toEqual(['a.example']);
  });

  it('is minded for handlers that two controllers inherit, one of them for each request, and in two applications', async () => {
    look = ({ headers }) => headers['accept-language'];
    class Base {
      @Get(':id')
      @CachePage('1m')
      page(): object {
        return { run: ++runs };
      }
    }
    @Controller('one')
    class One extends Base {}
    @Controller({ path: 'two', scope: Scope.REQUEST })
    class Two extends Base {}
    @Controller('three')
    @NoCache()
    class Three extends Base {
      override page(): object {
        return super.page();
      }
    }
    const providers = [{ provide: APP_INTERCEPTOR, useClass: ReadsBefore }];
    for (let application = 0; application < 2; application++) {
      const url = await start({ controllers: [One, Two, Three], providers });
      for (const path of ['one', 'two']) {
        runs = 0;
        for (const language of ['en', 'de', 'en', 'de'])
          expect((await get(`${url}/${path}/1`, { 'accept-language': language })).seen).toBe(language);
        expect(runs).toBe(2);
      }
    }
  });

  it('is minded for handlers without a decorator; an application without a cache may have the same ones', async () => {
    look = ({ headers }) => headers['accept-language'];
    @Controller('plain')
    class Plain {
      @Get()
      plain(): object {
        return { run: ++runs };
      }
    }
    const outer = { provide: APP_INTERCEPTOR, useClass: ReadsBefore };
    const ours = { provide: APP_INTERCEPTOR, useClass: ResponseCacheInterceptor };
    const cached = {
      imports: [TieredCacheModule.forRoot({ responses: { cacheAll: true, base: { ttl: '1m' } } })],
      providers: [outer, ours],
    };
    for (const setup of [cached, { imports: [], providers: [outer] }]) {
      runs = 0;
      const { url } = await serve(platform, { ...setup, controllers: [Plain] });
      for (const language of ['en', 'de', 'en', 'de'])
        expect((await get(`${url}/plain`, { 'accept-language': language })).seen).toBe(language);
      expect(runs).toBe(setup === cached ? 2 : 4);
    }
  });

  it('is minded under the old name', async () => {
    look = ({ headers }) => headers['accept-language'];
    for (const isGlobal of [true, false]) {
      @Controller()
      @(isGlobal ? () => undefined : UseInterceptors(ReadsBefore, CacheInterceptor))
      class Old {
        @Get('old')
        old(): object {
          return { run: ++runs };
        }
      }
      runs = 0;
      const outer = { provide: APP_INTERCEPTOR, useClass: ReadsBefore };
      const global = [outer, { provide: APP_INTERCEPTOR, useClass: CacheInterceptor as Type<NestInterceptor> }];
      const url = await start({ controllers: [Old], providers: isGlobal ? global : [] });
      for (const language of ['en', 'de', 'en', 'de'])
        expect((await get(`${url}/old`, { 'accept-language': language })).seen).toBe(language);
      expect(runs).toBe(2);
    }
  });

  it('keeps a cache interceptor that is made for each request from storing, since nobody has looked', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class OfRequest extends CacheInterceptor {}
    look = ({ headers }) => headers['accept-language'];
    @Controller()
    @UseInterceptors(ReadsBefore, OfRequest)
    class Old {
      @Get('old')
      old(): object {
        return { run: ++runs };
      }
    }
    const warned = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const url = await start({ controllers: [Old] });
    expect(warned.mock.calls.flat().join()).toContain('Old.old is not cached');
    warned.mockRestore();
    for (const language of ['en', 'de', 'en'])
      expect((await get(`${url}/old`, { 'accept-language': language })).seen).toBe(language);
    expect(runs).toBe(3);
  });

  it('is minded after all guards of the handler, and guards are placed nowhere else', async () => {
    const order: string[] = [];
    const guard = (name: string): CanActivate => ({
      canActivate: (context) => {
        order.push(name);
        return requestOf(context).headers['authorization'] !== 'nobody';
      },
    });
    @Controller()
    @UseGuards(guard('class'))
    class Guarded {
      @UseGuards(guard('above'))
      @CachePage('1m')
      @UseGuards(guard('below'))
      @Get('guarded')
      guarded(): object {
        return { run: ++runs };
      }
      @UseGuards(guard('message'))
      @CachePage('1m')
      @MessagePattern('guarded')
      message(): object {
        return {};
      }
      @Get('uncached')
      uncached(): object {
        return {};
      }
    }
    look = ({ headers }) => headers['authorization'] ?? null;
    await start({ controllers: [Guarded], providers: [{ provide: APP_INTERCEPTOR, useClass: ReadsBefore }] });
    const guardsOf = (handler: object): unknown[] => (Reflect.getMetadata('__guards__', handler) ?? []) as unknown[];
    const { guarded, message, uncached } = Guarded.prototype;
    expect(guardsOf(guarded).at(-1)).toBe(ResponseCacheGuard);
    await start({ controllers: [Guarded], providers: [{ provide: APP_INTERCEPTOR, useClass: ReadsBefore }] });
    expect(guardsOf(guarded).filter((placed) => placed === ResponseCacheGuard)).toHaveLength(1);
    expect([...guardsOf(message), ...guardsOf(uncached)]).not.toContain(ResponseCacheGuard);
  });

  it.each(['graphql', 'rpc', 'ws'])('is left alone in a %s call', async (kind) => {
    const providers = [{ provide: APP_INTERCEPTOR, useClass: ReadsBefore }];
    const controllers = [pages(CachePage('1m'))];
    const { app } = await serve(platform, { imports: [TieredCacheModule.forRoot()], controllers, providers });
    const untouched = (): object => Object.freeze({ headers: Object.freeze({ 'x-shop': 'north' }) });
    const args = [undefined, untouched(), untouched(), untouched()];
    const page = (controllers[0] as Type).prototype as { page(): unknown };
    const context = new ExecutionContextHost(args, controllers[0] as Type, page.page);
    context.setType(kind);
    expect(new ResponseCacheGuard(app.get(ResponseCaches)).canActivate(context)).toBe(true);
    const handled = of(1);
    expect(app.get(ResponseCacheInterceptor, { strict: false }).intercept(context, { handle: () => handled })).toBe(
      handled,
    );
  });
});
