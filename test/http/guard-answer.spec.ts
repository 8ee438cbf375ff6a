import 'reflect-metadata';
import { AsyncResource } from 'node:async_hooks';
import { EventEmitter, once } from 'node:events';
import { Agent } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  Catch,
  Controller,
  ForbiddenException,
  Get,
  Header,
  HttpCode,
  Injectable,
  NotFoundException,
  Redirect,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
  type INestApplication,
  type Provider,
  type Type,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import type { Observable } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CacheEngine } from '../../src/core/cache-engine.js';
import {
  CacheLock,
  CacheLockService,
  CachePage,
  Idempotent,
  ResponseCacheInterceptor,
  TieredCacheModule,
  byParams,
  byQuery,
  byRoute,
  byUser,
  type TieredCacheOptions,
} from '../../src/index.js';
import { TIERED_CACHE_ENGINE } from '../../src/tiered-cache.constants.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { ask, leaver, steady, type Received } from './wire/wire.client.js';

// Hits are sent by the last guard where no interceptor stands outside of the cache's: nobody may tell the difference but by a clock.

afterEach(closeAll);
afterEach(() => vi.restoreAllMocks());

type Headers = Record<string, string | undefined>;
interface AnyRequest {
  readonly headers: Headers;
  user?: { id: string };
}
interface AnyReply {
  readonly raw?: { end(text: string): void };
  header(name: string, value: string): unknown;
  status(code: number): unknown;
  send(body: unknown): unknown;
  end(text: string): void;
}

const requestOf = (context: ExecutionContext): AnyRequest => context.switchToHttp().getRequest<AnyRequest>();

let runs = 0;
let keys = 0;
let ticks = 0;
let order: string[] = [];
beforeEach(() => {
  runs = keys = ticks = 0;
  order = [];
});

/** Recognises users, sets a field, denies, answers by itself: all that guards do. */
@Injectable()
class Doorman implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = requestOf(context);
    const { authorization } = request.headers;
    const response = context.switchToHttp().getResponse<AnyReply>();
    if (authorization) request.user = { id: authorization };
    if (authorization === 'mallory') throw new ForbiddenException();
    if (request.headers['x-own']) (response.raw ?? response).end('own');
    else response.header('x-door', 'front');
    return true;
  }
}

@Catch(TypeError)
class Unkeyed implements ExceptionFilter {
  catch(error: TypeError, host: ArgumentsHost): void {
    host.switchToHttp().getResponse<AnyReply>().send({ unkeyed: error.message });
  }
}

@Controller('all')
@UseGuards(Doorman)
class All {
  @Get('page')
  @CachePage({ ttl: '1m', bypass: ({ headers }) => headers['x-bypass'] === '1' })
  page(): object {
    return { run: ++runs, text: 'x'.repeat(500) };
  }
  @Get('decorated')
  @Header('x-static', 'one')
  @Header('x-tick', () => String(++ticks))
  @Header('cache-control', 'max-age=7')
  @HttpCode(203)
  @CachePage('1m')
  decorated(): object {
    return { run: ++runs };
  }
  @Get('moved')
  @Redirect('/somewhere', 301)
  @CachePage('1m')
  moved(): void {
    runs++;
  }
  @Get('missing')
  @Header('x-static', 'one')
  @CachePage({ ttl: '1m', negativeTtl: '1m' })
  missing(): void {
    runs++;
    throw new NotFoundException();
  }
  @Get('empty')
  @CachePage('1m')
  empty(): void {
    runs++;
  }
  @Get('text')
  @Header('content-type', 'text/plain')
  @CachePage('1m')
  text(): string {
    return `run ${++runs}`;
  }
  @Get('mine')
  @CachePage({ ttl: '1m', key: [byRoute(), byParams(), byQuery('*'), byUser()] })
  mine(): object {
    return { run: ++runs };
  }
  @Get('unkeyed')
  @HttpCode(418)
  @Header('x-static', 'one')
  @UseFilters(Unkeyed)
  @CachePage({
    ttl: '1m',
    key: ({ request }) => {
      keys++;
      if ((request as unknown as AnyRequest).headers['x-bad']) throw new TypeError('no such key');
      return 'key';
    },
    status: [418],
  })
  unkeyed(): object {
    return { run: ++runs };
  }
}

const REQUESTS: ReadonlyArray<readonly [path: string, headers?: Record<string, string>, method?: string]> = [
  ['page'],
  ['page', {}, 'HEAD'],
  ['page', { 'if-none-match': '*' }],
  ['page', { 'if-none-match': '"other"' }],
  ['page', { 'if-match': '"other"' }],
  ['page', { range: 'bytes=0-9' }],
  ['page', { range: 'bytes=9000-' }],
  ['page', { range: 'bytes=0-9', 'if-none-match': '*' }, 'HEAD'],
  ['page', { 'x-bypass': '1' }],
  ['page', { authorization: 'ann' }],
  ['page', { authorization: 'mallory' }],
  ['page', { 'x-own': '1' }],
  ['page', {}, 'POST'],
  ['decorated'],
  ['decorated', {}, 'HEAD'],
  ['decorated', { 'if-none-match': '*' }],
  ['moved'],
  ['missing'],
  ['empty'],
  ['text'],
  ['mine', { authorization: 'ann' }],
  ['mine', { authorization: 'bob' }],
  ['mine'],
  ['unkeyed'],
  ['unkeyed', { 'x-bad': '1' }],
];

describe.each<Platform>(['express', 'fastify'])('the guard that answers, on %s', (platform) => {
  const isFastify = platform === 'fastify';

  async function start(
    controllers: Type[],
    {
      providers = [],
      options = {},
      prepare,
    }: {
      providers?: Provider[];
      options?: TieredCacheOptions;
      prepare?: (app: INestApplication) => unknown;
    } = {},
  ): Promise<{ app: INestApplication; get: (path: string, ...rest: unknown[]) => Promise<Received>; url: string }> {
    const imports = [TieredCacheModule.forRoot(options)];
    const { app, url } = await serve(platform, { imports, controllers, providers }, prepare);
    const get = (path: string, headers?: unknown, method?: unknown, agent?: unknown): Promise<Received> =>
      ask(`${url}/${path}`, {
        ...(headers !== undefined && { headers: headers as Record<string, string> }),
        ...(method !== undefined && { method: method as string }),
        ...(agent !== undefined && { agent: agent as Agent }),
      });
    return { app, get, url };
  }

  /** How often interceptors of ours were asked. */
  const asked = (): { readonly times: number } => {
    const { mock } = vi.spyOn(ResponseCacheInterceptor.prototype, 'intercept');
    return {
      get times() {
        return mock.calls.length;
      },
    };
  };

  it('sends what the interceptor would have sent, to everybody', async () => {
    const sent: unknown[][] = [];
    for (const answerInGuard of [true, false]) {
      runs = ticks = 0;
      const { get } = await start([All], {
        options: { responses: { answerInGuard } },
        prepare: (app) =>
          app.use((_request: unknown, response: { setHeader(name: string, value: string): void }, next: () => void) => {
            response.setHeader('x-middleware', 'front');
            next();
          }),
      });
      const answers: unknown[] = [];
      for (const round of ['cold', 'warm', 'warm again']) {
        for (const [path, headers, method] of REQUESTS) {
          const { status, headers: fields, body } = await get(`all/${path}`, headers, method);
          const told = { ...steady(fields), age: undefined, expires: undefined };
          const lives = JSON.stringify(told).replaceAll(/(max-age|ttl)=\d+/g, '$1');
          answers.push([round, path, headers, method, status, lives, body.toString()]);
        }
        const { etag } = (await get('all/page')).headers;
        const { status, headers } = await get('all/page', { 'if-none-match': String(etag) });
        answers.push([round, status, Object.keys(headers).sort()]);
      }
      sent.push([...answers, ['runs', runs], ['ticks', ticks]]);
      await closeAll();
    }
    expect(sent[0]).toEqual(sent[1]);
  });

  it('asks no interceptor on a hit, and all of them if it may not', async () => {
    const interceptors = asked();
    const { get } = await start([All]);
    for (let round = 0; round < 3; round++) await get('all/page');
    expect([runs, interceptors.times]).toEqual([1, 1]);
    await get('all/page', {}, 'HEAD');
    await get('all/page', { range: 'bytes=0-1' });
    await get('all/page', { 'if-none-match': '*' });
    expect([runs, interceptors.times]).toEqual([1, 1]);
    const before = interceptors.times;
    const { get: getSlowly } = await start([All], { options: { responses: { answerInGuard: false } } });
    for (let round = 0; round < 3; round++) await getSlowly('all/page');
    expect([runs, interceptors.times]).toEqual([2, before + 3]);
  });

  it('asks functions of a policy once for a request', async () => {
    const { get } = await start([All]);
    await get('all/unkeyed');
    const cold = keys;
    await get('all/unkeyed');
    expect([keys - cold, runs]).toEqual([1, 1]);
    await closeAll();
    keys = 0;
    const { get: getSlowly } = await start([All], { options: { responses: { answerInGuard: false } } });
    await getSlowly('all/unkeyed');
    expect(keys).toBe(cold);
  });

  it('leaves hits to an interceptor that has its own way, or belongs to one request', async () => {
    let seen = 0;
    @Injectable()
    class Own extends ResponseCacheInterceptor {
      override intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
        seen++;
        return super.intercept(context, next);
      }
    }
    @Injectable({ scope: Scope.REQUEST })
    class OfRequest extends ResponseCacheInterceptor {}
    for (const interceptor of [Own, OfRequest]) {
      @Controller()
      @UseInterceptors(interceptor)
      class Pages {
        @Get('page')
        @CachePage('1m')
        page(): object {
          return { run: ++runs };
        }
      }
      runs = 0;
      const { get } = await start([Pages]);
      for (let round = 0; round < 3; round++)
        expect(JSON.parse((await get('page')).body.toString())).toEqual({ run: 1 });
      await closeAll();
    }
    expect(seen).toBe(3);
  });

  it('is out of the way of tests that replace the cache interceptor', async () => {
    const passes = { intercept: (_context: ExecutionContext, next: CallHandler) => next.handle() };
    const { url } = await serve(
      platform,
      { imports: [TieredCacheModule.forRoot()], controllers: [All] },
      () => undefined,
      (builder) => builder.overrideInterceptor(ResponseCacheInterceptor).useValue(passes),
    );
    for (const run of [1, 2]) expect(JSON.parse((await ask(`${url}/all/mine`)).body.toString())).toEqual({ run });
  });

  it('runs after all guards, whoever put them there, and none is left out on a hit', async () => {
    const guard = (name: string): Type<CanActivate> => {
      @Injectable()
      class Named implements CanActivate {
        canActivate(context: ExecutionContext): boolean {
          order.push(name);
          return requestOf(context).headers['x-denied-by'] !== name;
        }
      }
      return Named;
    };
    const [everywhere, perRequest, ofClass, above, below] = [
      guard('everywhere'),
      guard('perRequest'),
      guard('ofClass'),
      guard('above'),
      guard('below'),
    ] as const;
    Injectable({ scope: Scope.REQUEST })(perRequest);
    @Controller()
    @UseGuards(ofClass)
    class Pages {
      @UseGuards(above)
      @CachePage('1m')
      @UseGuards(below)
      @Get('page')
      page(): object {
        return { run: ++runs };
      }
    }
    const { get } = await start([Pages], {
      providers: [
        { provide: APP_GUARD, useClass: everywhere },
        { provide: APP_GUARD, useClass: perRequest },
      ],
    });
    const names = ['everywhere', 'perRequest', 'ofClass', 'above', 'below'];
    for (let round = 0; round < 3; round++) {
      order = [];
      expect((await get('page')).status).toBe(200);
      expect(order.toSorted()).toEqual(names.toSorted());
      for (const name of names) expect((await get('page', { 'x-denied-by': name })).status, name).toBe(403);
    }
    expect(runs).toBe(1);
  });

  it('lets go of everything it has sent', async () => {
    const known: Array<WeakRef<object>> = [];
    @Injectable()
    class Notes implements CanActivate {
      canActivate(context: ExecutionContext): boolean {
        known.push(new WeakRef(requestOf(context)), new WeakRef(context));
        return true;
      }
    }
    @Controller()
    @UseGuards(Notes)
    class Pages {
      @Get('page')
      @CachePage('1m')
      page(): object {
        return { run: ++runs };
      }
    }
    const interceptors = asked();
    const { get } = await start([Pages]);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let hit = 0; hit < 500; hit++) await get('page', {}, 'GET', agent);
    expect([known.length, interceptors.times]).toEqual([1000, 1]);
    agent.destroy();
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    // The connection may hold on to the last one.
    await vi.waitFor(() => {
      collect();
      expect(known.filter((one) => one.deref() !== undefined).length).toBeLessThan(20);
    });
  });

  it('ends the request scope, and whatever waits for the end of a response', async () => {
    const looks: Array<() => unknown> = [];
    const ended: string[] = [];
    let engine: CacheEngine | undefined;
    @Injectable()
    class Looks implements CanActivate {
      canActivate(): boolean {
        const look = AsyncResource.bind(() => engine?.requestScope?.());
        expect(look()).toBeDefined();
        looks.push(look);
        return true;
      }
    }
    @Controller()
    @UseGuards(Looks)
    class Pages {
      @Get('page')
      @CachePage('1m')
      page(): object {
        return { run: ++runs };
      }
    }
    const { app, get } = await start([Pages], {
      prepare: (made) => {
        made.use((_request: unknown, response: NodeJS.EventEmitter, next: () => void) => {
          for (const event of ['finish', 'close']) response.once(event, () => ended.push(event));
          next();
        });
        if (!isFastify) return;
        type Hook = (name: string, hook: (...args: never[]) => Promise<unknown>) => void;
        const { addHook } = made.getHttpAdapter().getInstance() as { addHook: Hook };
        const instance = made.getHttpAdapter().getInstance() as object;
        addHook.call(instance, 'onSend', async (_request, reply: AnyReply, payload: unknown) => {
          reply.header('x-hooked', '1');
          return payload;
        });
        addHook.call(instance, 'onResponse', async () => ended.push('onResponse'));
      },
    });
    engine = app.get<CacheEngine>(TIERED_CACHE_ENGINE);
    for (let round = 0; round < 3; round++) {
      ended.length = 0;
      const { headers, status } = await get('page');
      expect([status, headers['x-hooked']]).toEqual([200, isFastify ? '1' : undefined]);
      await vi.waitFor(() =>
        expect(ended.toSorted()).toEqual(isFastify ? ['close', 'finish', 'onResponse'] : ['close', 'finish']),
      );
    }
    expect([runs, looks.length]).toEqual([1, 3]);
    expect(looks.map((look) => look())).toEqual([undefined, undefined, undefined]);
  });

  it('answers one connection many times, and minds nobody who has left', async () => {
    const gate = new EventEmitter();
    @Injectable()
    class Waits implements CanActivate {
      async canActivate(context: ExecutionContext): Promise<boolean> {
        if (!requestOf(context).headers['connection']?.includes('close')) return true;
        gate.emit('entered');
        await once(gate, 'open');
        return true;
      }
    }
    @Controller()
    @UseGuards(Waits)
    class Pages {
      @Get('page')
      @CachePage('1m')
      page(): object {
        return { run: ++runs };
      }
    }
    const { get, url } = await start([Pages]);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let round = 0; round < 20; round++)
      expect((await get('page', {}, round % 2 ? 'HEAD' : 'GET', agent)).status).toBe(200);
    const entered = once(gate, 'entered');
    const gone = leaver(`${url}/page`);
    await entered;
    gone.leave();
    await gone.left;
    gate.emit('open');
    expect((await get('page', {}, 'GET', agent)).body.toString()).toBe('{"run":1}');
    agent.destroy();
  });

  it('keeps no lock that another guard has taken', async () => {
    @Injectable()
    class Knows implements CanActivate {
      canActivate(context: ExecutionContext): boolean {
        requestOf(context).user = { id: 'ann' };
        return true;
      }
    }
    @Controller()
    class Pages {
      @Get('locked')
      @CacheLock({ key: () => ['page'], lease: '1m', wait: 0 })
      @CachePage('1m')
      locked(): object {
        return { run: ++runs };
      }
      @Get('idempotent')
      @Idempotent({ required: false })
      @CachePage({ ttl: '1m', public: true })
      @UseGuards(Knows)
      idempotent(): object {
        return { run: ++runs };
      }
    }
    const interceptors = asked();
    const { app, get } = await start([Pages]);
    const locks = app.get(CacheLockService);
    for (let round = 0; round < 3; round++) {
      expect((await get('locked')).status).toBe(200);
      await vi.waitFor(async () => expect((await locks.inspect(['page']))?.owner).toBeUndefined());
    }
    expect([runs, interceptors.times]).toEqual([1, 1]);
    for (const key of ['"a"', '"b"', '"b"'])
      expect((await get('idempotent', { 'idempotency-key': key })).body.toString()).toBe('{"run":2}');
    await vi.waitFor(() => expect(locks.stats().held).toBe(0));
  });
});
