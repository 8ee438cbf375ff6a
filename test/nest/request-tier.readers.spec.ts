import 'reflect-metadata';
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  Catch,
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  Optional,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  type ExecutionContext,
  type INestApplication,
  type MiddlewareConsumer,
  type ModuleMetadata,
  type Provider,
  type Type,
} from '@nestjs/common';
import { APP_GUARD, DiscoveryModule, DiscoveryService, LazyModuleLoader, ModuleRef, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterEach, beforeEach, describe, expect, it, vi, type MockInstance } from 'vitest';
import {
  Cached,
  CachePage,
  CacheService,
  defineStateCache,
  EntityInvalidationService,
  getCacheToken,
  InjectCache,
  InjectStateCache,
  InvalidatesCache,
  RequestCacheService,
  runInCacheScope,
  TieredCacheModule,
  WithRequestCache,
  type StandardSchema,
  type TieredCacheOptions,
} from '../../src/index.js';
import { OutboxRelayModule } from '../../src/invalidation/outbox/index.js';
import { closeAll, serve, type Platform, type Served } from './boot.js';

let run: MockInstance;

beforeEach(() => {
  run = vi.spyOn(AsyncLocalStorage.prototype, 'run');
});

afterEach(async () => {
  vi.restoreAllMocks();
  await closeAll();
});

/** How many scopes of requests were opened so far. */
const scopes = (): number =>
  run.mock.calls.filter(([store]) => typeof store === 'object' && store !== null && 'scope' in store).length;

@Controller()
class Pages {
  @Get('page')
  @CachePage('1h')
  page(): object {
    return { rows: 1 };
  }
}

interface Parts {
  imports?: NonNullable<ModuleMetadata['imports']>;
  controllers?: Type[];
  providers?: Provider[];
  options?: TieredCacheOptions;
}

async function application(
  platform: Platform,
  { imports = [], controllers = [], providers = [], options = {} }: Parts = {},
  prepare?: (app: INestApplication) => unknown,
): Promise<Served> {
  return serve(
    platform,
    { imports: [TieredCacheModule.forRoot(options), ...imports], controllers: [Pages, ...controllers], providers },
    prepare,
  );
}

const get = async (url: string): Promise<unknown> => (await fetch(url)).json();

@Injectable()
class ByConstructor {
  constructor(readonly cache: CacheService) {}

  use(): void {}
  canActivate(): boolean {
    return true;
  }
  transform(value: unknown): unknown {
    return value;
  }
  intercept(_context: ExecutionContext, next: { handle(): unknown }): unknown {
    return next.handle();
  }
}

@Injectable()
class ByProperty {
  @Inject(RequestCacheService) readonly request!: RequestCacheService;
}

@Injectable()
class Optionally {
  constructor(@Optional() readonly cache?: CacheService) {}
}

@Injectable()
class OfNamespace {
  constructor(@InjectCache('books') readonly books: CacheService) {}
}

const anything = {
  '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) },
} as unknown as StandardSchema<unknown, { id: number }>;
const states = defineStateCache({ name: 'states', states: ['paid'], schema: anything });

@Injectable()
class OfStates {
  constructor(@InjectStateCache(states) readonly cache: unknown) {}
}

@Injectable()
class WithCached {
  @Cached({ ttl: '1m' })
  async one(id: number): Promise<number> {
    return id;
  }
}

@Injectable()
class WithScope {
  @WithRequestCache()
  run(): void {}
}

@Injectable()
class LooksUp {
  constructor(readonly modules: ModuleRef) {}
}

@Injectable()
class LoadsLazily {
  constructor(readonly loader: LazyModuleLoader) {}
}

@Injectable({ scope: Scope.REQUEST })
class OfRequest {
  constructor(readonly cache: CacheService) {}
}

@Injectable({ scope: Scope.REQUEST, durable: true })
class Durable {
  constructor(readonly cache: CacheService) {}
}

@Controller('scoped')
class Scoped {
  constructor(readonly other: OfRequest) {}
}

@Controller('durable')
class HasDurable {
  constructor(readonly other: Durable) {}
}

@Injectable({ scope: Scope.TRANSIENT })
class Transient {
  constructor(readonly cache: CacheService) {}
}

@Injectable()
class HasTransient {
  constructor(readonly other: Transient) {}
}

@Controller('books')
class Books {
  constructor(readonly cache: CacheService) {}
}

@Catch(RangeError)
class Filter {
  constructor(readonly cache: CacheService) {}
  catch(): void {}
}

/** A controller whose only route is decorated so. */
function decorated(decorator: MethodDecorator): Type {
  @Controller('decorated')
  class Decorated {
    @Get()
    @decorator
    one(): string {
      return 'one';
    }
  }
  return Decorated;
}

@Module({})
class WithMiddleware {
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(ByConstructor).forRoutes(Books);
  }
}

@Module({ providers: [ByConstructor] })
class Lazy {}

@Module({})
class LoadsAtBoot {
  constructor(private readonly loader: LazyModuleLoader) {}
  async onModuleInit(): Promise<void> {
    await this.loader.load(() => Lazy);
  }
}

@Module({})
class CreatesAtBoot {
  constructor(private readonly modules: ModuleRef) {}
  async onApplicationBootstrap(): Promise<void> {
    await this.modules.create(ByConstructor);
  }
}

@Module({})
class LooksUpAtBoot {
  constructor(private readonly modules: ModuleRef) {}
  onModuleInit(): void {
    this.modules.get(CacheService, { strict: false });
  }
}

@Module({})
class IsInjected {
  constructor(readonly cache: CacheService) {}
}

const books = TieredCacheModule.forFeature([{ name: 'books' }]);

const ways: Array<[string, Parts]> = [
  ['a constructor', { providers: [ByConstructor] }],
  ['a property', { providers: [ByProperty] }],
  ['an optional parameter', { providers: [Optionally] }],
  ['a factory', { providers: [{ provide: 'made', inject: [CacheService], useFactory: (cache: unknown) => [cache] }] }],
  ['another name', { providers: [{ provide: 'mine', useExisting: CacheService }] }],
  [
    'the token of the default namespace',
    { providers: [{ provide: 1n as never, inject: [getCacheToken()], useFactory: () => 1 }] },
  ],
  ['a namespace', { imports: [books], providers: [OfNamespace] }],
  ['a state cache', { providers: [states.asProvider(), OfStates] }],
  ['@Cached()', { providers: [WithCached] }],
  ['@WithRequestCache()', { providers: [WithScope] }],
  ['ModuleRef', { providers: [LooksUp] }],
  ['LazyModuleLoader', { providers: [LoadsLazily] }],
  ['a controller', { controllers: [Books] }],
  ['a module', { imports: [IsInjected] }],
  ['a guard', { controllers: [decorated(UseGuards(ByConstructor))] }],
  ['a pipe', { controllers: [decorated(UsePipes(ByConstructor))] }],
  ['an interceptor', { controllers: [decorated(UseInterceptors(ByConstructor))] }],
  ['an exception filter', { controllers: [decorated(UseFilters(Filter))] }],
  ['a global guard', { providers: [{ provide: APP_GUARD, useClass: ByConstructor }] }],
  ['middleware', { imports: [WithMiddleware] }],
  ['a provider of a request', { controllers: [Scoped], providers: [OfRequest] }],
  ['a durable provider', { controllers: [HasDurable], providers: [Durable] }],
  ['a transient provider', { providers: [HasTransient, Transient] }],
  ['a module that is loaded at boot', { imports: [LoadsAtBoot] }],
  ['ModuleRef.create() in a hook', { imports: [CreatesAtBoot] }],
  ['ModuleRef.get() in a hook', { imports: [LooksUpAtBoot] }],
  ['forced misses', { options: { forceMiss: { canForceMiss: () => false } } }],
];

@Injectable()
class Marks {
  constructor(private readonly request: RequestCacheService) {}

  use(_request: unknown, _response: unknown, next: () => void): void {
    this.request.set('mark', 'of middleware');
    next();
  }
}

@Controller('marked')
class Marked {
  constructor(private readonly request: RequestCacheService) {}

  @Get()
  mark(): object {
    return { mark: this.request.get('mark').getValueOrDefault('none') };
  }
}

@Module({ imports: [TieredCacheModule.forRoot()], controllers: [Marked] })
class WithMarks {
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(Marks).forRoutes(Marked);
  }
}

describe.each<Platform>(['express', 'fastify'])('the request tier on %s is awake', (platform) => {
  it('in middleware, with an adapter that was there before the modules and with one that comes after them', async () => {
    const adapter = platform === 'express' ? new ExpressAdapter() : new FastifyAdapter();
    const app = await NestFactory.create(WithMarks, adapter, { logger: false });
    try {
      await app.listen(0, '127.0.0.1');
      expect(await get(`${await app.getUrl()}/marked`)).toEqual({ mark: 'of middleware' });
    } finally {
      await app.close();
    }
    const { url } = await serve(platform, { imports: [WithMarks], controllers: [] });
    expect(await get(`${url}/marked`)).toEqual({ mark: 'of middleware' });
    expect(scopes()).toBe(2);
  });

  it.each(ways)('from the first request on with %s', async (_way, parts) => {
    const { url } = await application(platform, parts);
    expect(scopes()).toBe(0);
    await get(`${url}/page`);
    expect(scopes()).toBe(1);
  });
});

/** As an ORM's module has it. */
@Module({})
class HasModuleRef {
  constructor(readonly modules: ModuleRef) {}
}

/** Reads through everything, as what looks for decorators does. */
@Injectable()
class Explorer {
  constructor(private readonly discovery: DiscoveryService) {}

  onModuleInit(): void {
    this.read();
  }
  onApplicationBootstrap(): void {
    this.read();
  }
  private read(): void {
    const wrappers = this.discovery.getProviders();
    for (const { instance } of wrappers) Object.keys((instance ?? {}) as object);
    expect(wrappers.filter(({ instance }) => instance instanceof CacheService).length).toBeGreaterThan(0);
  }
}

@Injectable()
class Changes {
  constructor(readonly entities: EntityInvalidationService) {}

  @InvalidatesCache({ tags: ['books'] })
  async save(): Promise<void> {}
}

@Controller('late')
class Late {
  app!: INestApplication;

  @Get()
  read(): object {
    const request = this.app.get(RequestCacheService);
    const { isActive } = request;
    request.set('k', isActive);
    return { isActive, found: request.get('k').isFound };
  }
}

const asleep: Array<[string, Parts]> = [
  ['pages only', {}],
  ['namespaces that nobody is given', { imports: [books] }],
  ['a module that has a ModuleRef', { imports: [HasModuleRef] }],
  ['who reads through all providers', { imports: [DiscoveryModule, books], providers: [Explorer] }],
  ['who invalidates only', { providers: [Changes] }],
  ['the relay of an outbox', { imports: [OutboxRelayModule.forRoot({ query: async () => [], autoCreate: true })] }],
  ['requestTier: false', { providers: [ByConstructor], options: { requestTier: false } }],
];

describe.each<Platform>(['express', 'fastify'])('the request tier on %s is asleep', (platform) => {
  it.each(asleep)('with %s', async (_with, parts) => {
    const entered = vi.spyOn(AsyncLocalStorage.prototype, 'enterWith');
    const { url } = await application(platform, parts);
    for (let i = 0; i < 3; i++) expect(await get(`${url}/page`)).toEqual({ rows: 1 });
    expect([scopes(), entered.mock.calls.length]).toEqual([0, 0]);
  });

  it.each<[string, (app: INestApplication) => unknown]>([
    ['app.get() of the cache', (app) => app.get(CacheService)],
    ['app.resolve()', (app) => app.resolve(RequestCacheService)],
    ['app.get() of a namespace', (app) => app.get(getCacheToken('books'))],
    ['app.get() of all of a token', (app) => app.get(CacheService, { each: true })],
  ])('until %s before the boot or after it', async (_what, take) => {
    const early = await application(platform, { imports: [books] }, take);
    await get(`${early.url}/page`);
    expect(scopes()).toBe(1);
    const late = await application(platform, { imports: [books] });
    await get(`${late.url}/page`);
    expect(scopes()).toBe(1);
    await take(late.app);
    await get(`${late.url}/page`);
    expect(scopes()).toBe(2);
  });

  it('until a guard that was given the cache by hand is bound', async () => {
    const guard = (app: INestApplication): unknown => app.useGlobalGuards(new ByConstructor(app.get(CacheService)));
    const { url } = await application(platform, {}, guard);
    await get(`${url}/page`);
    expect(scopes()).toBe(1);
  });

  it('for the request in which a service is first looked up, and for no other', async () => {
    const { app, url } = await application(platform, { controllers: [Late] });
    app.get(Late).app = app;
    const answers = [await get(`${url}/late`), await get(`${url}/late`)];
    expect(answers).toEqual([
      { isActive: false, found: false },
      { isActive: true, found: true },
    ]);
  });

  it('in one application, awake in another of the process', async () => {
    const [one, two] = [await application(platform), await application(platform, { providers: [ByConstructor] })];
    await get(`${one.url}/page`);
    expect(scopes()).toBe(0);
    await get(`${two.url}/page`);
    expect(scopes()).toBe(1);
    await get(`${one.url}/page`);
    expect(scopes()).toBe(1);
  });

  it('and jobs have scopes all the same', async () => {
    const cached = vi.fn(async () => 1);
    const { app } = await application(platform);
    const jobs = app.get(CacheService);
    await runInCacheScope(async () => {
      await jobs.getOrSet('k', cached);
      expect((await jobs.get('k')).tier).toBe('request');
    });
  });
});
