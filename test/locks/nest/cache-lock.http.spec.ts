import 'reflect-metadata';
import {
  Body,
  Controller,
  Get,
  HttpCode,
  HttpException,
  Injectable,
  Logger,
  NotFoundException,
  Post,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
  type Type,
} from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  CacheLock,
  CacheLockGuard,
  CacheLockService,
  CacheService,
  Lease,
  MemoryStore,
  TieredCacheModule,
  type LockKeyContext,
  type TieredCacheOptions,
} from '../../../src/index.js';
import { until } from '../../faults/subject.js';
import { leaver } from '../../http/wire/wire.client.js';
import { boot, bootError, closeAll, serve, type Platform } from '../../nest/boot.js';
import { freePort } from '../../servers/free.port.js';
import { RedisServer } from '../../servers/redis.server.js';
import { gate } from '../subject.js';

afterEach(closeAll);

const root = (options: TieredCacheOptions = {}) => TieredCacheModule.forRoot(options);

let app: INestApplication;
let url: string;
let locks: CacheLockService;

async function listen(platform: Platform, controller: Type, options: TieredCacheOptions = {}): Promise<void> {
  ({ app, url } = await serve(platform, { imports: [root(options)], controllers: [controller] }));
  locks = app.get(CacheLockService);
}

async function post(path: string, body?: unknown, headers: Record<string, string> = {}) {
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...json,
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text && parsed(text) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

let ran: string[] = [];
let during: () => Promise<unknown> = async () => undefined;
afterEach(() => {
  ran = [];
  during = async () => undefined;
});

const byParam = ({ params }: LockKeyContext): readonly (string | undefined)[] => ['policy', params['id']];

@Injectable()
class Recognise implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<{ headers: Record<string, string>; user?: object }>();
    const id = request.headers['x-user'];
    if (id !== undefined) request.user = { id };
    return true;
  }
}

@Controller()
class Redeem {
  constructor(private readonly cache: CacheService) {}

  @Post('policies/:id/redeem')
  @CacheLock({ key: byParam, lease: '5s' })
  async redeem(@Lease() lease: Lease): Promise<object> {
    ran.push('redeem');
    await during();
    return { isHeld: lease.isHeld, fence: String(lease.fencingToken), keys: lease.keys };
  }

  @CacheLock({ key: byParam })
  @Post('policies/:id/missing')
  async missing(): Promise<never> {
    await during();
    throw new NotFoundException('gone');
  }

  @CacheLock({ key: byParam, onLost: 'fail' })
  @Post('policies/:id/strict')
  async strict(): Promise<string> {
    ran.push('strict');
    await during();
    return 'withheld';
  }

  @CacheLock({ key: byParam, wait: '10s' })
  @Post('policies/:id/wait')
  wait(): string {
    ran.push('wait');
    return 'waited';
  }

  @CacheLock({ key: byParam, status: 409 })
  @Post('policies/:id/conflict')
  conflict(): void {}

  @CacheLock({ key: byParam, status: 423 })
  @Post('policies/:id/locked')
  locked(): void {}

  @CacheLock({ key: byParam, mode: 'once', lease: '400ms' })
  @Post('policies/:id/once')
  async once(): Promise<void> {
    ran.push('once');
    await during();
  }

  @CacheLock({ key: ({ body }) => ['voucher', body['code'] as string] })
  @Post('vouchers')
  voucher(@Body() _body: unknown): string {
    ran.push('voucher');
    return 'redeemed';
  }

  @CacheLock({ key: ({ user }) => ['user', user?.['id']] })
  @UseGuards(Recognise)
  @Post('mine')
  mine(@Lease() lease: Lease): readonly string[] {
    return lease.keys;
  }

  @CacheLock({ key: byParam })
  @Post('policies/:id/read')
  async read(): Promise<unknown> {
    return { value: (await this.cache.get('budget')).value };
  }

  @Post('policies/:id/unlocked')
  unlocked(@Lease() _lease: Lease): void {}
}

describe.each<Platform>(['express', 'fastify'])('@CacheLock on %s', (platform) => {
  /** While somebody else holds it. */
  const held = (): Promise<Lease> => locks.acquire(['policy', 1]);

  it('4.14 #1 refuses a second attempt, and does not run its handler', async () => {
    await listen(platform, Redeem);
    await using _held = await held();
    const { status, headers, body } = await post('/policies/1/redeem');
    expect(status).toBe(429);
    expect(body).toEqual({
      statusCode: 429,
      error: 'Too Many Requests',
      code: 'resource_locked',
      message: 'The resource is in use by another request; try again shortly',
      retryAfterMs: expect.any(Number) as number,
    });
    expect(headers.get('retry-after')).toBe(String(Math.ceil((body as { retryAfterMs: number }).retryAfterMs / 1000)));
    expect(headers.get('cache-control')).toBe('no-store');
    expect(ran).toEqual([]);
    expect((await post('/policies/2/redeem')).status).toBe(201);
    expect((await post('/policies/1/conflict')).status).toBe(409);
    expect((await post('/policies/1/locked')).status).toBe(423);
  });

  it('hands its lease to the handler', async () => {
    await listen(platform, Redeem);
    const first = (await post('/policies/7/redeem')).body as { isHeld: boolean; fence: string; keys: string[] };
    expect(first).toMatchObject({ isHeld: true, keys: ['/policy/7'] });
    const second = (await post('/policies/7/redeem')).body as { fence: string };
    expect(BigInt(second.fence)).toBeGreaterThan(BigInt(first.fence));
  });

  it('4.14 #13 a result survives the loss of the lock, an HttpException keeps its status', async () => {
    await listen(platform, Redeem);
    during = () =>
      locks.forceRelease(['policy', '1']).then(() =>
        locks
          .current()
          ?.extend()
          .catch(() => undefined),
      );
    expect(await post('/policies/1/redeem')).toMatchObject({ status: 201, body: { isHeld: false } });
    expect(await post('/policies/1/missing')).toMatchObject({ status: 404, body: { message: 'gone' } });
    expect(await post('/policies/1/strict')).toMatchObject({ status: 503, body: { code: 'lock_lost' } });
    expect(ran).toContain('strict');
  });

  it.each([
    ['no body', undefined],
    ['no such field', {}],
    ['null', { code: null }],
    ['empty', { code: '' }],
    ['an object', { code: { $ne: '' } }],
    ['a list', { code: ['a'] }],
    ['a text of 20,000 characters', { code: 'x'.repeat(20_000) }],
  ])('4.14 #18 a part of the key that is %s is answered with 400', async (_what, body) => {
    await listen(platform, Redeem);
    const answer = await post('/vouchers', body);
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_lock_key' } });
    expect(ran).toEqual([]);
    expect(locks.stats().acquired).toBe(0);
  });

  it('one record is one lock, in whatever type a client names it', async () => {
    await listen(platform, Redeem);
    await using _held = await locks.acquire(['voucher', 12]);
    expect((await post('/vouchers', { code: '12' })).status).toBe(429);
    expect((await post('/vouchers', { code: 12 })).status).toBe(429);
  });

  it('knows the user that a guard below has recognised', async () => {
    await listen(platform, Redeem);
    expect((await post('/mine', undefined, { 'x-user': 'u1' })).body).toEqual(['/user/u1']);
    expect((await post('/mine')).status).toBe(400);
  });

  it('waits in order of arrival', async () => {
    await listen(platform, Redeem);
    const lease = await held();
    const waiting = post('/policies/1/wait');
    await until(async () => (await locks.inspect(['policy', 1]))?.waiting === 1, 2000);
    await lease.release();
    expect((await waiting).body).toBe('waited');
  });

  it('4.14 #19 who leaves while it waits leaves the queue, and its handler never runs', async () => {
    await listen(platform, Redeem);
    const lease = await held();
    const client = leaver(`${url}/policies/1/wait`, { method: 'POST' });
    await until(async () => (await locks.inspect(['policy', 1]))?.waiting === 1, 2000);
    client.leave();
    await until(async () => (await locks.inspect(['policy', 1]))?.waiting === 0, 2000);
    await lease.release();
    expect(await locks.inspect(['policy', 1])).toBeUndefined();
    expect(ran).toEqual([]);
  });

  it('4.14 #20 at a shutdown who waits is refused, and running work keeps its lock', async () => {
    await listen(platform, Redeem);
    const other = gate();
    const begun = gate();
    during = () => (begun.open(), other.opened);
    const running = post('/policies/1/redeem', undefined, { connection: 'close' });
    await begun.opened;
    const waiting = post('/policies/1/wait', undefined, { connection: 'close' });
    await until(async () => (await locks.inspect(['policy', 1]))?.waiting === 1, 2000);
    const closing = app.close();
    expect(await waiting).toMatchObject({ status: 503, body: { code: 'lock_store_unavailable' } });
    expect(await locks.inspect(['policy', 1])).toMatchObject({ owner: expect.any(String) as string });
    other.open();
    expect(await running).toMatchObject({ status: 201, body: { isHeld: true } });
    await closing;
  });

  it("mode 'once' keeps the lock after a success, not after a failure", async () => {
    await listen(platform, Redeem);
    during = () => Promise.reject(new HttpException('no', 422));
    expect((await post('/policies/1/once')).status).toBe(422);
    during = async () => undefined;
    await until(async () => (await locks.inspect(['policy', 1])) === undefined, 1000);
    expect((await post('/policies/1/once')).status).toBe(201);
    expect((await post('/policies/1/once')).status).toBe(429);
    await until(async () => (await locks.inspect(['policy', 1])) === undefined, 2000);
  });

  it('does not run without a lock store: 503', async () => {
    const store = `redis://127.0.0.1:${await freePort()}`;
    silent();
    await listen(platform, Redeem, { locks: { store } });
    const { status, headers, body } = await post('/policies/1/redeem');
    expect(status).toBe(503);
    expect(body).toMatchObject({ statusCode: 503, error: 'Service Unavailable', code: 'lock_store_unavailable' });
    expect(headers.get('retry-after')).toBe('1');
    expect(ran).toEqual([]);
  });

  it('answers as the application maps it', async () => {
    await listen(platform, Redeem, {
      locks: {
        mapException: (refusal, context) =>
          refusal.code === 'resource_locked'
            ? new HttpException({ busy: context.getHandler().name, wait: refusal.retryAfterSeconds }, 418)
            : refusal,
      },
    });
    await using _held = await held();
    const { status, headers, body } = await post('/policies/1/redeem');
    expect([status, body]).toEqual([418, { busy: 'redeem', wait: Number(headers.get('retry-after')) }]);
    expect((await post('/vouchers', {})).status).toBe(400);
  });

  it('reads inside it skip what this process learned before', async () => {
    const { database } = new MemoryStore();
    const remote = (): MemoryStore => new MemoryStore({ database });
    const writer = (await boot([root({ remote: remote() })])).get(CacheService);
    await writer.set('budget', 'old');
    await listen(platform, Redeem, { remote: remote() });
    const reader = app.get(CacheService);
    expect((await reader.get('budget')).value).toBe('old');
    database.sessions.clear();
    await writer.set('budget', 'new');
    expect((await reader.get('budget')).value).toBe('old');
    expect((await post('/policies/1/read')).body).toEqual({ value: 'new' });
  });

  it('@Lease() without a lock is a mistake', async () => {
    silent();
    await listen(platform, Redeem);
    expect((await post('/policies/1/unlocked')).status).toBe(500);
  });
});

describe('classes', () => {
  @CacheLock({ key: byParam, lease: '20s' })
  @Controller('accounts/:id')
  class Accounts {
    @Post('a')
    a(@Lease() lease: Lease): object {
      return { keys: lease.keys, isLong: lease.remainingMs > 10_000 };
    }

    @CacheLock({ status: 409 })
    @Post('b')
    b(@Lease() lease: Lease): object {
      return { keys: lease.keys, isLong: lease.remainingMs > 10_000 };
    }
  }

  it.each<Platform>(['express', 'fastify'])(
    'a handler adds to what its class says, and takes one lock, on %s',
    async (platform) => {
      await listen(platform, Accounts);
      const told = { keys: ['/policy/1'], isLong: true };
      expect((await post('/accounts/1/a')).body).toEqual(told);
      expect((await post('/accounts/1/b')).body).toEqual(told);
      expect(locks.stats().acquired).toBe(2);
      await until(async () => locks.stats().held === 0, 1000);
      await using _held = await locks.acquire(['policy', '1']);
      expect((await post('/accounts/1/a')).status).toBe(429);
      expect((await post('/accounts/1/b')).status).toBe(409);
    },
  );

  it('a request that a locked handler makes to its own route has a lock of its own', async () => {
    @Controller('nested/:id')
    class Nested {
      @CacheLock({ key: byParam })
      @Post()
      async nested(@Lease() lease: Lease): Promise<object> {
        const fastify = app as NestFastifyApplication;
        const inner =
          lease.keys[0] === '/policy/1' ? await fastify.inject({ method: 'POST', url: '/nested/2' }) : undefined;
        return { keys: lease.keys, current: locks.current()?.keys, inner: inner?.json<object>() };
      }
    }
    await listen('fastify', Nested);
    expect((await post('/nested/1')).body).toEqual({
      keys: ['/policy/1'],
      current: ['/policy/1'],
      inner: { keys: ['/policy/2'], current: ['/policy/2'] },
    });
  });
});

function silent(): string[] {
  const seen: string[] = [];
  for (const level of ['warn', 'error'] as const) {
    const spy = vi
      .spyOn(Logger.prototype, level)
      .mockImplementation((message: unknown) => void seen.push(String(message)));
    onTestFinished(() => spy.mockRestore());
  }
  return seen;
}

describe('at boot', () => {
  @Controller()
  class Plain {
    @CacheLock({ key: 'report' })
    @Post()
    report(): void {}
  }

  async function bootWith(controller: Type, options: TieredCacheOptions = {}): Promise<Error | undefined> {
    try {
      await listen('express', controller, options);
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }

  it('refuses a store that may drop locks, as soon as a route needs it', async () => {
    await using cache = await RedisServer.start({
      args: ['--maxmemory', '50mb', '--maxmemory-policy', 'allkeys-lru'],
    });
    expect(await bootWith(Plain, { remote: cache.url })).toMatchObject({ code: 'evicting_lock_store' });
    @Controller()
    class None {}
    expect(await bootWith(None, { remote: cache.url })).toBeUndefined();
    expect(await bootWith(Plain, { remote: cache.url, locks: { acceptEviction: true } })).toBeUndefined();
  });

  it('refuses a lock without a key, and where it would not hold', async () => {
    @Controller()
    class Keyless {
      @CacheLock({ lease: '1s' })
      @Post()
      handle(): void {}
    }
    @Controller()
    class Fields {
      @CacheLock({ key: 'k' })
      field(): void {}
    }
    Reflect.defineMetadata('graphql:resolve_property', true, Fields.prototype.field);
    expect(await bootWith(Keyless)).toMatchObject({ code: 'invalid_option' });
    expect(await bootWith(Fields)).toMatchObject({ code: 'unsupported_lock' });
    expect(await bootError([root({ locks: { mapException: 1 } as never })])).toMatchObject({ code: 'invalid_option' });
  });

  it('warns of locks that do less than they seem to', async () => {
    @Injectable()
    class Deny implements CanActivate {
      canActivate = (): boolean => false;
    }
    @Controller()
    class Odd {
      @UseGuards(Deny)
      @CacheLock({ key: 'k' })
      @Post('late')
      late(): void {}

      @CacheLock({ key: 'k' })
      @UseGuards(Deny)
      @Get('read')
      read(): void {}

      @CacheLock({ key: 'k' })
      plain(): void {}
    }
    const seen = silent();
    await bootWith(Odd);
    expect(seen).toEqual([
      expect.stringMatching(/^Odd\.late: Deny runs after the lock is taken/),
      expect.stringMatching(/^Odd\.read: @CacheLock on a GET route/),
      expect.stringMatching(/^Odd\.plain is no route and no message handler/),
    ]);
    seen.length = 0;
    await bootWith(Plain);
    expect(seen).toEqual([]);
  });

  it.each([
    [{ key: 'k', waite: 1 }, 'did you mean "wait"?'],
    [{ key: 'k', status: 500 }, 'status'],
    [{ key: 'k', lease: 5 }, 'lease must be at least 100 ms'],
    [{ key: ['policy', undefined] }, 'key[1] of the lock is undefined'],
  ])('and at definition time refuses %o', (options, message) => {
    expect(() => CacheLock(options as never)).toThrow(message);
  });
});

describe('metadata', () => {
  it('adds to what other decorators say, and wraps nothing', () => {
    const own = (): void => undefined;
    class Target {}
    const descriptor = { value: own, writable: true, configurable: true };
    const decorated = HttpCode(202)(Target.prototype, 'own', descriptor) ?? descriptor;
    CacheLock({ key: 'k' })(Target.prototype, 'own', decorated);
    expect(descriptor.value).toBe(own);
    expect(Reflect.getMetadata('__httpCode__', own)).toBe(202);
    expect(Reflect.getMetadata('__guards__', own)).toEqual([CacheLockGuard]);
  });

  it('documents its answers where @nestjs/swagger looks for them, beside those of the application', async () => {
    @Controller()
    class Documented {
      @CacheLock({ key: 'k', status: 423 })
      @Post('a')
      a(): void {}

      @CacheLock({ key: 'k' })
      @HttpCode(202)
      @Post('b')
      b(): void {}

      @CacheLock({ key: 'k' })
      @Post('c')
      c(): void {}
    }
    Reflect.defineMetadata('swagger/apiResponse', { 401: { description: 'of the class' } }, Documented);
    Reflect.defineMetadata('swagger/apiResponse', { 200: {}, 429: { description: 'mine' } }, Documented.prototype.c);
    await listen('express', Documented);
    const documented = (name: 'a' | 'b' | 'c') =>
      Reflect.getMetadata('swagger/apiResponse', Documented.prototype[name]) as Record<string, { description: string }>;
    expect(Object.keys(documented('a'))).toEqual(['201', '400', '401', '423', '503']);
    expect(Object.keys(documented('b'))).toEqual(['202', '400', '401', '429', '503']);
    expect(Object.keys(documented('c'))).toEqual(['200', '400', '401', '429', '503']);
    expect(documented('c')['429']?.description).toBe('mine');
    expect(documented('a')['423']).toMatchObject({ headers: { 'Retry-After': {} }, schema: { type: 'object' } });
  });
});
