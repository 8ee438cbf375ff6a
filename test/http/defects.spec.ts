import 'reflect-metadata';
import {
  ClassSerializerInterceptor,
  Controller,
  Get,
  Injectable,
  Logger,
  Module,
  Param,
  Query,
  Req,
  Res,
  Sse,
  StreamableFile,
  UseInterceptors,
  Version,
  VersioningType,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import { CACHE_MANAGER, CacheInterceptor, CacheKey, CacheModule } from '@nestjs/cache-manager';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { Exclude } from 'class-transformer';
import { Keyv } from 'keyv';
import { lastValueFrom, of, type Observable } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  CachePage,
  CacheResponse,
  CacheService,
  InjectCache,
  MemoryStore,
  ResponseCacheInterceptor,
  TieredCacheModule,
  byQuery,
  byParams,
  byRoute,
} from '../../src/index.js';
import { CacheKey as MigratedKey } from '../../src/http/migration/index.js';
import { redis } from '../../src/stores/redis/index.js';
import { boot, bootError, closeAll, serve, type Platform, type Served } from '../nest/boot.js';
import { freePort } from '../servers/free.port.js';
import { CachedBy, Gate, type Placement } from './subject.js';
import { ask, type Received } from './wire/wire.client.js';

// The defects of @nestjs/cache-manager 12 (reference/nestjs.md 3). Each is shown with its interceptor, where it is about one, so that the claim
// stays true, and shown to be none of ours wherever the interceptor is registered.

afterEach(closeAll);

let runs = 0;
beforeEach(() => void (runs = 0));

type Headers = Record<string, string>;
type Reply = { header(name: string, value: string): void; status(code: number): unknown };

@Injectable()
class KnowsUsers implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<{ headers: Headers; user?: unknown }>();
    const name = request.headers['authorization']?.slice('Bearer '.length);
    if (name !== undefined) request.user = { id: name };
    return true;
  }
}

const text = (received: Received): string => received.body.toString();
const hit = async ({ url }: Served, path: string, headers: Headers = {}): Promise<string> =>
  text(await ask(url + path, { headers }));

interface Defect {
  readonly controllers: (by: CachedBy) => Type[];
  readonly setup?: Parameters<CachedBy['serve']>[2];
  readonly stockSetup?: Parameters<CachedBy['serve']>[2];
  readonly observe: (served: Served) => Promise<unknown>;
  readonly ours: unknown;
  /** What values kept by @CacheResponse come to, if not the same. */
  readonly values?: unknown;
  /** What the stock interceptor makes of it. */
  readonly stock: unknown;
  /** Where ours is registered; default everywhere. */
  readonly placements?: readonly Placement[];
  /** Where ours is registered under the old name: it takes no policies. */
  readonly migrated?: readonly Placement[];
}

const PLACEMENTS: readonly Placement[] = ['handler', 'controller', 'global'];

describe.each<Platform>(['express', 'fastify'])('defects of the stock interceptor, on %s', (platform) => {
  function defect(number: number, title: string, defined: Defect): void {
    const { controllers, setup, observe, placements = PLACEMENTS } = defined;
    const see = async (by: CachedBy, options = setup): Promise<unknown> => {
      runs = 0;
      return observe(await by.serve(platform, controllers(by), options));
    };
    it(`defect ${number}: ${title}`, async () => {
      for (const placement of placements) {
        const by = new CachedBy('page', placement);
        expect(await see(by), by.name).toEqual(defined.ours);
      }
      for (const placement of placements.filter((name) => name !== 'global')) {
        const by = new CachedBy('value', placement);
        expect(await see(by), by.name).toEqual(defined.values ?? defined.ours);
      }
      for (const placement of defined.migrated ?? placements) {
        const by = new CachedBy('migrated', placement);
        expect(await see(by), by.name).toEqual(defined.ours);
      }
    });
    it(`defect ${number} is one of the stock interceptor's`, async () => {
      expect(await see(new CachedBy('stock', 'handler'), defined.stockSetup ?? setup)).toEqual(defined.stock);
    });
  }

  defect(1, "one user gets another one's answer", {
    controllers: (by) => {
      @Controller()
      @by.controller
      class Me {
        @Get('me')
        @by.handler()
        me(@Req() request: { user?: { id: string } }): object {
          return { id: request.user?.id ?? 'nobody' };
        }
      }
      return [Me];
    },
    setup: { providers: [{ provide: APP_GUARD, useClass: KnowsUsers }] },
    observe: async (served) => [
      await hit(served, '/me', { authorization: 'Bearer a' }),
      await hit(served, '/me', { authorization: 'Bearer b' }),
      await hit(served, '/me'),
      await hit(served, '/me', { authorization: 'Bearer a' }),
    ],
    ours: ['{"id":"a"}', '{"id":"b"}', '{"id":"nobody"}', '{"id":"a"}'],
    stock: ['{"id":"a"}', '{"id":"a"}', '{"id":"a"}', '{"id":"a"}'],
  });

  const versioned = (by: CachedBy): Type[] => {
    @Controller('books')
    @by.controller
    class Books {
      @Get()
      @Version('1')
      @by.handler()
      one(): string {
        return 'v1';
      }
      @Get()
      @Version('2')
      @by.handler()
      two(): string {
        return 'v2';
      }
    }
    return [Books];
  };

  defect(2, 'API versions by header share an answer', {
    controllers: versioned,
    setup: { prepare: (app) => app.enableVersioning({ type: VersioningType.HEADER, header: 'x-version' }) },
    observe: async (served) => [
      await hit(served, '/books', { 'x-version': '1' }),
      await hit(served, '/books', { 'x-version': '2' }),
    ],
    ours: ['v1', 'v2'],
    stock: ['v1', 'v1'],
  });

  defect(2, 'API versions by media type share an answer', {
    controllers: versioned,
    setup: { prepare: (app) => app.enableVersioning({ type: VersioningType.MEDIA_TYPE, key: 'v=' }) },
    observe: async (served) => [
      await hit(served, '/books', { accept: 'application/json;v=1' }),
      await hit(served, '/books', { accept: 'application/json;v=2' }),
    ],
    ours: ['v1', 'v2'],
    stock: ['v1', 'v1'],
  });

  defect(2, 'hosts, tenants and languages share an answer', {
    controllers: (by) => {
      @Controller()
      @by.controller
      class Echo {
        @Get()
        @by.handler()
        echo(@Req() request: { headers: Headers }): string {
          return [request.headers['host'], request.headers['x-tenant'], request.headers['accept-language']].join(' ');
        }
      }
      return [Echo];
    },
    observe: async (served) => [
      await hit(served, '/', { host: 'a.example', 'x-tenant': '1', 'accept-language': 'de' }),
      await hit(served, '/', { host: 'b.example', 'x-tenant': '1', 'accept-language': 'de' }),
      await hit(served, '/', { host: 'a.example', 'x-tenant': '2', 'accept-language': 'de' }),
      await hit(served, '/', { host: 'a.example', 'x-tenant': '1', 'accept-language': 'en' }),
    ],
    ours: ['a.example 1 de', 'b.example 1 de', 'a.example 2 de', 'a.example 1 en'],
    stock: ['a.example 1 de', 'a.example 1 de', 'a.example 1 de', 'a.example 1 de'],
  });

  defect(3, 'status and headers of a handler are lost on a hit', {
    controllers: (by) => {
      @Controller()
      @by.controller
      class Pages {
        @Get(':status')
        @by.handler()
        page(@Param('status') status: string, @Res({ passthrough: true }) response: Reply): object {
          runs++;
          response.status(Number(status));
          response.header('x-total-count', '7');
          response.header('link', '</203?page=2>; rel="next"');
          return [1];
        }
      }
      return [Pages];
    },
    observe: async (served) => {
      const seen: unknown[] = [];
      for (const path of ['/203', '/203', '/206', '/206']) {
        const { status, headers } = await ask(served.url + path);
        seen.push([status, headers['x-total-count'], headers['link']]);
      }
      return [...seen, runs];
    },
    ours: [
      [203, '7', '</203?page=2>; rel="next"'],
      [203, '7', '</203?page=2>; rel="next"'],
      [206, '7', '</203?page=2>; rel="next"'],
      [206, '7', '</203?page=2>; rel="next"'],
      // A part of something is never kept.
      3,
    ],
    stock: [
      [203, '7', '</203?page=2>; rel="next"'],
      [200, undefined, undefined],
      [206, '7', '</203?page=2>; rel="next"'],
      [200, undefined, undefined],
      2,
    ],
  });

  let gate = new Gate();
  defect(4, 'every one of 50 cold requests runs the handler', {
    controllers: (by) => {
      gate = new Gate(50);
      @Controller()
      @by.controller
      class Slow {
        @Get()
        @by.handler()
        async slow(): Promise<object> {
          const run = ++runs;
          await gate.opened;
          return { run };
        }
      }
      return [Slow];
    },
    setup: {
      prepare: (app: INestApplication) =>
        app.use((_request: unknown, _response: unknown, next: () => void) => {
          next();
          // All of them are past their lookup then.
          setTimeout(() => gate.arrive(), 30);
        }),
    },
    observe: async (served) => {
      const bodies = await Promise.all(Array.from({ length: 50 }, () => hit(served, '/')));
      return { runs, bodies: new Set(bodies).size };
    },
    ours: { runs: 1, bodies: 1 },
    stock: { runs: 50, bodies: 50 },
  });

  defect(5, 'the order of the query, and junk in it, make entries without bound', {
    controllers: (by) => {
      @Controller()
      @by.controller
      class Search {
        @Get('search')
        @by.handler()
        search(): number {
          return ++runs;
        }
        @Get('listed')
        @by.handler({ key: [byRoute(), byParams(), byQuery(['a', 'b'])] })
        listed(@Query('a') _a: string, @Query('b') _b: string): number {
          return ++runs;
        }
      }
      return [Search];
    },
    observe: async (served) => {
      for (const query of ['?a=1&b=2', '?b=2&a=1']) await hit(served, `/search${query}`);
      const sorted = runs;
      for (const query of ['?a=1', '?a=1&utm_source=x', '?utm_source=y&a=1']) await hit(served, `/listed${query}`);
      return { sorted, listed: runs - sorted };
    },
    ours: { sorted: 1, listed: 1 },
    migrated: [],
    stock: { sorted: 2, listed: 3 },
  });

  defect(6, 'null and undefined are never cached', {
    controllers: (by) => {
      @Controller()
      @by.controller
      class Nothing {
        @Get('null')
        @by.handler()
        null(): null {
          runs++;
          return null;
        }
        @Get('undefined')
        @by.handler()
        undefined(): undefined {
          runs++;
          return undefined;
        }
      }
      return [Nothing];
    },
    observe: async (served) => {
      const first = [await hit(served, '/null'), await hit(served, '/undefined')];
      const again = [await hit(served, '/null'), await hit(served, '/undefined')];
      return { runs, isSame: String(first) === String(again) };
    },
    ours: { runs: 2, isSame: true },
    stock: { runs: 4, isSame: true },
  });

  class User {
    name = 'ada';
    @Exclude() password = 'secret';
  }
  defect(7, 'a serialised store undoes @Exclude() of ClassSerializerInterceptor', {
    controllers: (by) => {
      @Controller()
      @by.controller
      class Users {
        @Get('user')
        @by.handler()
        user(): User {
          return new User();
        }
      }
      return [Users];
    },
    setup: { providers: [{ provide: APP_INTERCEPTOR, useClass: ClassSerializerInterceptor }] },
    stockSetup: {
      providers: [{ provide: APP_INTERCEPTOR, useClass: ClassSerializerInterceptor }],
      imports: [
        CacheModule.register({
          isGlobal: true,
          stores: [
            new Keyv({ store: new Map(), serialize: JSON.stringify, deserialize: JSON.parse } as never) as never,
          ],
        }),
      ],
    },
    observe: async (served) => [await hit(served, '/user'), await hit(served, '/user')],
    ours: ['{"name":"ada"}', '{"name":"ada"}'],
    // Refused, loudly: what class would it have when it comes back?
    values: [expect.stringContaining('500'), expect.stringContaining('500')],
    stock: ['{"name":"ada"}', '{"name":"ada","password":"secret"}'],
  });

  defect(8, 'a fixed key on a route with parameters answers for all of them', {
    controllers: (by) => {
      @Controller('item')
      @by.controller
      class Items {
        @Get(':id')
        @CacheKey('item')
        @MigratedKey('item')
        @by.handler({ key: [byRoute()] })
        item(@Param('id') id: string): string {
          return `item ${id}`;
        }
      }
      return [Items];
    },
    observe: async (served) => [await hit(served, '/item/1'), await hit(served, '/item/2')],
    ours: ['item 1', 'item 2'],
    stock: ['item 1', 'item 1'],
  });

  const streams = (by: CachedBy): Type[] => {
    @Controller()
    @by.controller
    class Streams {
      @Get('response')
      @by.handler()
      response(): Response {
        return new Response('web', { headers: { 'content-type': 'text/plain' } });
      }
      @Get('iterable')
      @by.handler()
      async *iterable(): AsyncGenerator<string> {
        yield 'a';
        yield 'b';
      }
    }
    return [Streams];
  };
  defect(9, 'web Responses and async iterables are gone on a hit', {
    controllers: streams,
    observe: async (served) => {
      const seen: unknown[] = [];
      for (const path of ['/response', '/response', '/iterable', '/iterable']) {
        const received = await ask(served.url + path);
        seen.push(received.status === 200 ? text(received) : received.status);
      }
      return seen;
    },
    ours: ['web', 'web', 'ab', 'ab'],
    stock: ['web', 500, 'ab', ''],
  });

  defect(10, '@Sse() is cached: the second client gets the last event only', {
    controllers: (by) => {
      @Controller()
      @by.controller
      class Events {
        @Sse('events')
        @by.handler()
        events(): Observable<{ data: string }> {
          runs++;
          return of({ data: 'one' }, { data: 'two' });
        }
      }
      return [Events];
    },
    observe: async (served) => {
      const data = async (): Promise<string[]> => (await hit(served, '/events')).match(/one|two/g) ?? [];
      return { first: await data(), second: await data(), runs };
    },
    ours: { first: ['one', 'two'], second: ['one', 'two'], runs: 2 },
    stock: { first: ['one', 'two'], second: ['two'], runs: 1 },
  });

  let store: MemoryStore;
  defect(11, 'an Observable with several emissions is stored several times', {
    controllers: (by) => {
      @Controller()
      @by.controller
      class Numbers {
        @Get()
        @by.handler()
        numbers(): Observable<string> {
          runs++;
          return of('1', '2', '3');
        }
      }
      return [Numbers];
    },
    observe: async (served) => {
      let writes = 0;
      const count = (target: object, name: string): void => {
        const methods = target as Record<string, (...args: unknown[]) => unknown>;
        const inner = methods[name]!;
        methods[name] = function (this: unknown, ...args) {
          writes++;
          return Reflect.apply(inner, this, args);
        };
      };
      try {
        count(served.app.get<object>(CACHE_MANAGER, { strict: false }), 'set');
      } catch {
        count(store, 'fill');
        count(store, 'write');
      }
      const bodies = [await hit(served, '/'), await hit(served, '/')];
      return { bodies, runs, writes };
    },
    setup: { options: { remote: () => (store = new MemoryStore()) } },
    ours: { bodies: ['3', '3'], runs: 1, writes: 1 },
    stock: { bodies: ['3', '3'], runs: 1, writes: 3 },
  });
  defect(15, 'HEAD, conditions, Age and Vary are not handled', {
    controllers: (by) => {
      @Controller()
      @by.controller
      class Books {
        @Get()
        @by.handler()
        books(@Req() request: { headers: Headers }): object {
          runs++;
          return { language: request.headers['accept-language'] ?? 'none' };
        }
      }
      return [Books];
    },
    observe: async (served) => {
      const first = await ask(served.url);
      const second = await ask(served.url);
      const head = await ask(served.url, { method: 'HEAD' });
      const not = await ask(served.url, { headers: { 'if-none-match': String(first.headers.etag ?? '"none"') } });
      return {
        age: second.headers.age,
        vary: second.headers.vary?.toLowerCase(),
        head: [head.status, head.headers['content-length'], text(head)],
        not: not.status,
        runs,
      };
    },
    ours: { age: '0', vary: 'accept-language', head: [200, '19', ''], not: 304, runs: 1 },
    // Values have no variants: what a header decides about is kept only where the key names it.
    values: expect.objectContaining({ head: [200, '19', ''], runs: 4 }),
    stock: expect.objectContaining({ age: undefined, vary: undefined, runs: 2 }),
  });
});

/** A call of another transport, as the transport's own context creator makes one. */
function callOf(app: INestApplication, controller: Type, handler: string, type: string, args: unknown[]) {
  const method = (controller.prototype as Record<string, () => unknown>)[handler]!;
  const context = new ExecutionContextHost(args, controller, method);
  context.setType(type);
  const instance = app.get<Record<string, () => unknown>>(controller);
  const next: CallHandler = { handle: () => of(instance[handler]!()) };
  return async (interceptor: NestInterceptor): Promise<unknown> =>
    lastValueFrom((await interceptor.intercept(context, next)) as Observable<unknown>);
}

const graphql = [undefined, { id: 1 }, { req: { headers: {} } }, { parentType: { name: 'Query' }, fieldName: 'books' }];
const rpc = [{ id: 1 }, {}];

describe.each<Platform>(['express', 'fastify'])('defects of the stock interceptor outside HTTP, on %s', (platform) => {
  @Controller()
  class Books {
    @Get('plain')
    plain(): number {
      return ++runs;
    }
    @Get('keyed')
    @CacheResponse('1m')
    keyed(): number {
      return ++runs;
    }
  }
  @Controller()
  class StockBooks {
    @Get('plain')
    plain(): number {
      return ++runs;
    }
    @Get('keyed')
    @CacheKey('books')
    keyed(): number {
      return ++runs;
    }
  }
  const ours = (): Promise<Served> => {
    const cacheAll = { base: { ttl: '1m' as const }, cacheAll: true };
    const imports = [TieredCacheModule.forRoot({ responses: cacheAll })];
    return serve(platform, { imports, controllers: [Books], providers: [ResponseCacheInterceptor] });
  };
  const stock = (): Promise<Served> => {
    const imports = [CacheModule.register({ isGlobal: true, ttl: 60_000 })];
    return serve(platform, { imports, controllers: [StockBooks], providers: [CacheInterceptor] });
  };

  it('defect 12: a global interceptor breaks every resolver', async () => {
    const { app } = await ours();
    const call = callOf(app, Books, 'plain', 'graphql', graphql);
    expect(await call(app.get(ResponseCacheInterceptor))).toBe(1);
    expect(await call(app.get(ResponseCacheInterceptor))).toBe(2);
  });

  it("defect 12 is one of the stock interceptor's", async () => {
    const { app } = await stock();
    // Its request is the resolver's parent.
    await expect(callOf(app, StockBooks, 'plain', 'graphql', graphql)(app.get(CacheInterceptor))).rejects.toThrow(
      TypeError,
    );
  });

  for (const [number, type, args] of [
    [13, 'graphql', graphql],
    [14, 'rpc', rpc],
  ] as const) {
    const call = (app: INestApplication, controller: Type) => callOf(app, controller, 'keyed', type, [...args]);

    it(`defect ${number}: a keyed ${type} handler is silently never cached`, async () => {
      const { app } = await ours();
      runs = 0;
      expect(await call(app, Books)(app.get(ResponseCacheInterceptor))).toBe(1);
      expect(await call(app, Books)(app.get(ResponseCacheInterceptor))).toBe(1);
    });

    it(`defect ${number} is one of the stock interceptor's`, async () => {
      const { app } = await stock();
      runs = 0;
      expect(await call(app, StockBooks)(app.get(CacheInterceptor))).toBe(1);
      expect(await call(app, StockBooks)(app.get(CacheInterceptor))).toBe(2);
    });
  }
});

@Controller()
class Counter {
  @Get('count')
  @CachePage('1m')
  count(): object {
    return { run: ++runs, secret: 'hunter2' };
  }
}

@Controller()
class StockCounter {
  @Get('count')
  @UseInterceptors(CacheInterceptor)
  count(): object {
    return { run: ++runs, secret: 'hunter2' };
  }
}

const never = (): Promise<never> => new Promise(() => undefined);

describe.each<Platform>(['express', 'fastify'])('defects around stores, on %s', (platform) => {
  afterEach(() => void vi.restoreAllMocks());

  it('defect 16: a store that does not take what is stored fails no request, and no value gets into the log', async () => {
    const lines: unknown[] = [];
    for (const level of ['log', 'warn', 'error', 'debug'] as const)
      vi.spyOn(Logger.prototype, level).mockImplementation((...args: unknown[]) => void lines.push(...args));
    const store = new MemoryStore();
    store.fill = () => Promise.reject(new Error('READONLY'));
    store.write = () => Promise.reject(new Error('READONLY'));
    const imports = [TieredCacheModule.forRoot({ remote: store })];
    const served = await serve(platform, { imports, controllers: [Counter] });
    expect(JSON.parse(await hit(served, '/count'))).toMatchObject({ run: 1 });
    expect(JSON.parse(await hit(served, '/count'))).toMatchObject({ run: 1 });
    expect(lines.map(String).join('\n')).not.toMatch(/hunter2|\[object Object\]/);
  });

  it("defect 16 is one of the stock interceptor's", async () => {
    const lines: unknown[] = [];
    vi.spyOn(Logger, 'error').mockImplementation((...args: unknown[]) => void lines.push(...args));
    const imports = [CacheModule.register({ isGlobal: true })];
    const served = await serve(platform, { imports, controllers: [StockCounter] });
    const cache = served.app.get<{ set: () => Promise<never> }>(CACHE_MANAGER);
    cache.set = () => Promise.reject(new Error('READONLY'));
    await hit(served, '/count');
    expect(lines.map(String).join('\n')).toContain('"value: [object Object]"');
  });

  it('defect 17: a store that never answers blocks requests', async () => {
    const store = new MemoryStore();
    Object.assign(store, { read: never, acquire: never, fill: never, write: never, tokens: never });
    const imports = [TieredCacheModule.forRoot({ remote: store, deadline: 20 })];
    const served = await serve(platform, { imports, controllers: [Counter] });
    expect(JSON.parse(await hit(served, '/count'))).toMatchObject({ run: 1 });
  });

  it("defect 17 is one of the stock interceptor's", async () => {
    const imports = [CacheModule.register({ isGlobal: true })];
    const served = await serve(platform, { imports, controllers: [StockCounter] });
    const gate = new Gate();
    const cache = served.app.get<{ get: () => Promise<undefined> }>(CACHE_MANAGER);
    cache.get = () => gate.opened as Promise<undefined>;
    const answer = hit(served, '/count').then(JSON.parse) as Promise<unknown>;
    const isAnswered = await Promise.race([
      answer.then(() => true),
      new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 300)),
    ]);
    expect([isAnswered, runs]).toEqual([false, 0]);
    gate.release();
    await answer;
  });

  it('defect 21: a dead Redis ends the application', async () => {
    const port = await freePort();
    const imports = [TieredCacheModule.forRoot({ remote: redis({ url: `redis://127.0.0.1:${port}` }) })];
    const served = await serve(platform, { imports, controllers: [Counter] });
    expect(JSON.parse(await hit(served, '/count'))).toMatchObject({ run: 1 });
    expect(JSON.parse(await hit(served, '/count'))).toMatchObject({ run: 1 });
  });

  it('defect 22: streams are skipped, or broken', async () => {
    @Controller()
    class Streams {
      @Get('file')
      @CachePage('1m')
      file(): StreamableFile {
        runs++;
        return new StreamableFile(Buffer.from('bytes'), { type: 'text/plain' });
      }
      @Get('web')
      @CachePage('1m')
      web(): Response {
        runs++;
        return new Response(new Blob(['bytes']).stream(), { headers: { 'content-type': 'text/plain' } });
      }
    }
    const served = await serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Streams] });
    for (const path of ['/file', '/web', '/file', '/web']) expect(await hit(served, path)).toBe('bytes');
    expect(runs).toBe(2);
  });

  it('defect 23: stores are closed while requests are under way', async () => {
    const order: string[] = [];
    const entered = new Gate(1);
    const gate = new Gate();
    const store = new MemoryStore();
    const close = store.close.bind(store);
    const fill = store.fill.bind(store);
    store.fill = (...args) => (order.push('stored'), fill(...args));
    store.close = async () => void (order.push('closed'), await close());
    @Controller()
    class Slow {
      @Get()
      @CachePage('1m')
      async slow(): Promise<string> {
        entered.arrive();
        await gate.opened;
        return 'done';
      }
    }
    const imports = [TieredCacheModule.forRoot({ remote: store })];
    const { app, url } = await serve(platform, { imports, controllers: [Slow] });
    const answer = ask(url);
    await entered.opened;
    const closing = app.close();
    gate.release();
    expect(text(await answer)).toBe('done');
    await closing;
    expect(order).toEqual(['stored', 'closed']);
  });

  it('defect 24: lifetimes in seconds are taken for milliseconds, and the other way round', async () => {
    @Controller()
    class Lifetimes {
      @Get('ms')
      @CachePage(90_000)
      ms(): string {
        return 'ms';
      }
      @Get('text')
      @CachePage('90s')
      text(): string {
        return 'text';
      }
    }
    const { url } = await serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Lifetimes] });
    for (const path of ['/ms', '/text']) {
      const { headers } = await ask(url + path);
      // Seconds, by RFC 9111; what is promised is what is kept.
      expect(headers['cache-control']).toBe('max-age=90');
    }
    expect(() => CachePage({ ttl: '90' as never })).toThrow(/ttl/);
    expect(() => CachePage({ ttl: -1 })).toThrow(/ttl/);
  });
});

@Injectable()
class Far {
  constructor(readonly cache: CacheService) {}
}
@Module({ providers: [Far] })
class FarModule {}

it('defect 18: isGlobal beside a factory is ignored', async () => {
  const app = await boot([TieredCacheModule.forRootAsync({ isGlobal: true, useFactory: () => ({}) }), FarModule]);
  expect(app.get(Far, { strict: false }).cache).toBeInstanceOf(CacheService);
  const wrong = TieredCacheModule.forRootAsync({ useFactory: () => ({ isGlobal: true }) as object });
  expect((await bootError([wrong])).message).toMatch(/isGlobal.*beside useFactory/);
});

@Injectable()
class Two {
  constructor(
    @InjectCache('short') readonly short: CacheService,
    @InjectCache('long') readonly long: CacheService,
  ) {}
}

it('defect 19: several registrations share one configuration', async () => {
  const app = await boot(
    [
      TieredCacheModule.forRoot(),
      TieredCacheModule.forFeature([{ name: 'short', ttl: '1s' }]),
      TieredCacheModule.forFeature([{ name: 'long', ttl: '1h' }]),
    ],
    [Two],
  );
  const { short, long } = app.get(Two);
  await short.set('key', 'short');
  await long.set('key', 'long');
  expect([(await short.get('key')).value, (await long.get('key')).value]).toEqual(['short', 'long']);
  const lifetimes = await Promise.all(
    [short, long].map(async (cache) => (await cache.explain('key')).memory?.expiresInMs),
  );
  expect(lifetimes[0]).toBeLessThanOrEqual(1_000);
  expect(lifetimes[1]).toBeGreaterThan(3_500_000);
});

it('defect 20: nothing but single keys can be deleted', async () => {
  const app = await boot(
    [
      TieredCacheModule.forRoot({ prefix: 'shop' }),
      TieredCacheModule.forFeature([{ name: 'short' }, { name: 'long' }]),
    ],
    [Two],
  );
  const { short, long } = app.get(Two);
  await short.set(['book', 1], 'one', { tags: ['author:7'] });
  await short.set(['book', 2], 'two');
  await long.set(['book', 1], 'kept', { tags: ['author:8'] });
  await short.invalidateTags(['author:7']);
  expect((await short.get(['book', 1])).isFound).toBe(false);
  expect((await short.get(['book', 2])).isFound).toBe(true);
  await short.clear();
  expect((await short.get(['book', 2])).isFound).toBe(false);
  expect((await long.get(['book', 1])).isFound).toBe(true);
});
