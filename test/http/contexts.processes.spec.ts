import 'reflect-metadata';
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  Scope,
  StreamableFile,
  type CallHandler,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
  type Provider,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { Observable } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  byParams,
  CachePage,
  CacheResponse,
  MemoryStore,
  TieredCacheModule,
  type MemoryDatabase,
} from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { ask } from './wire/wire.client.js';

// Which storage a page's handler has found empty no other process can know: what was made for nobody is not for a tenant there.

let tenants: AsyncLocalStorage<string>;
/** Filled for every request, and read by nobody. */
let tracing: AsyncLocalStorage<string> | undefined;
let database: MemoryDatabase;
let runs = 0;

const answer = (): object => ({ run: ++runs, tenant: tenants.getStore() ?? null });

@Injectable({ scope: Scope.REQUEST })
class Told {
  readonly tenant = tenants.getStore() ?? null;
}

@Controller()
class Pages {
  @Get('page')
  @CachePage('1m')
  page(): object {
    return answer();
  }

  @Get('value')
  @CacheResponse('1m')
  value(): object {
    return answer();
  }

  @Get('stream')
  @CachePage('1m')
  stream(): StreamableFile {
    return new StreamableFile(Buffer.from(JSON.stringify(answer())));
  }

  @Get('unrouted')
  @CachePage({ ttl: '1m', key: [byParams()] })
  unrouted(): object {
    return answer();
  }

  @Get('few')
  @CachePage({ ttl: '1m', maxVariants: 1 })
  few(): object {
    return answer();
  }

  @Get('ignoring')
  @CachePage({ ttl: '1m', autoVary: { ignore: ['context'] } })
  ignoring(): object {
    return answer();
  }

  @Get('none')
  @CachePage('1m')
  none(): object {
    return { run: ++runs };
  }

  @Get('lane')
  @CachePage({ ttl: '1m', public: true, beforeGuards: true })
  lane(): object {
    return answer();
  }
}

@Controller('made')
class Made {
  constructor(@Inject(Told) private readonly by: Told) {}

  @Get()
  @CachePage('1m')
  page(): object {
    return { run: ++runs, tenant: this.by.tenant };
  }

  @Get('value')
  @CacheResponse('1m')
  value(): object {
    return { run: ++runs, tenant: this.by.tenant };
  }
}

beforeEach(() => {
  tenants = new AsyncLocalStorage();
  tracing = undefined;
  ({ database } = new MemoryStore());
  runs = 0;
});
afterEach(closeAll);

interface Answer {
  readonly tenant: string | null;
  readonly run: number;
  readonly status: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

type Headers = Readonly<Record<string, string | undefined>>;
type Asked = (path: string, tenant?: string, headers?: Record<string, string>, method?: string) => Promise<Answer>;

/** By Node's request: who is a tenant only by an interceptor. */
const late = new WeakMap<object, string>();

/** Fills the storage later than middleware does, between what the cache has found and what it answers. */
@Injectable()
class Fills implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<{ raw?: object }>();
    const tenant = late.get(request.raw ?? request);
    if (tenant === undefined) return next.handle();
    return new Observable((subscriber) => tenants.run(tenant, () => next.handle().subscribe(subscriber)));
  }
}

/** One more process of the application. */
async function start(platform: Platform, providers: Provider[] = []): Promise<Asked> {
  const metadata = {
    imports: [TieredCacheModule.forRoot({ remote: new MemoryStore({ database }) })],
    controllers: [Pages, Made],
    providers: [Told, ...providers],
  };
  const { url } = await serve(platform, metadata, (app: INestApplication) =>
    app.use((request: { headers: Headers; raw?: object }, _response: unknown, next: () => void) => {
      const { 'x-tenant': tenant, 'x-late-tenant': other } = request.headers;
      if (other !== undefined) late.set(request.raw ?? request, other);
      const go = (): void => (tenant === undefined ? next() : tenants.run(tenant, next));
      if (tracing) tracing.run('span', go);
      else go();
    }),
  );
  return async (path, tenant, headers = {}, method = 'GET') => {
    const sent = { host: 'shop.example', ...headers, ...(tenant !== undefined && { 'x-tenant': tenant }) };
    const { status, body, headers: fields } = await ask(`${url}/${path}`, { method, headers: sent });
    const made = (body.length > 0 ? JSON.parse(body.toString()) : {}) as { tenant: string | null; run: number };
    return { ...made, status: `${status}; ${String(fields['cache-status'])}`, fields };
  };
}

describe.each<Platform>(['express', 'fastify'])('on %s', (platform) => {
  it.each(['page', 'value', 'stream', 'unrouted', 'few', 'made', 'made/value'])(
    'what one process has made for nobody is not for a tenant of another (%s)',
    async (path) => {
      // What constructors read is not seen: as if they had read all storages there are, of other tests as well.
      const isMade = path.startsWith('made');
      const here = await start(platform);
      const there = await start(platform);
      expect(await here(path)).toMatchObject({ tenant: null, run: 1 });
      expect(await there(path, 'bob')).toMatchObject({ tenant: 'bob', run: 2 });
      expect(await there(path, 'cid')).toMatchObject({ tenant: 'cid', run: 3 });
      expect(await here(path, 'bob')).toMatchObject({ tenant: 'bob', run: 4 });
      // It is for who asks as nobody, everywhere.
      for (const each of [there, here])
        expect(await each(path)).toMatchObject(isMade ? { tenant: null } : { tenant: null, run: 1 });
      const restarted = await start(platform);
      expect(await restarted(path, 'bob')).toMatchObject({ tenant: 'bob' });
    },
  );

  it.each([
    ['page', false],
    ['page', true],
    ['value', true],
  ] as const)('nor for who is one by an interceptor further out (%s, in memory: %s)', async (path, isNear) => {
    const providers = [{ provide: APP_INTERCEPTOR, useClass: Fills }];
    const here = await start(platform, providers);
    const there = await start(platform, providers);
    expect(await here(path)).toMatchObject({ tenant: null, run: 1 });
    if (isNear) expect(await there(path)).toMatchObject({ tenant: null, run: 1 });
    expect(await there(path, undefined, { 'x-late-tenant': 'bob' })).toMatchObject({ tenant: 'bob' });
    expect(await there(path)).toMatchObject({ tenant: null, run: 1 });
  });

  it('nor is it confirmed to one', async () => {
    const here = await start(platform);
    const there = await start(platform);
    const { etag } = (await here('page')).fields as { etag: string };
    expect((await there('page', 'bob', { 'if-none-match': etag })).status).toMatch(/^200/);
    const head = await there('page', 'bob', {}, 'HEAD');
    expect(head.fields['etag']).not.toBe(etag);
    expect(head.status).not.toContain('hit');
    expect((await there('page', undefined, { 'if-none-match': etag })).status).toMatch(/^304; .*hit/);
    for (const [method, path] of [
      ['HEAD', 'value'],
      ['GET', 'value'],
    ] as const) {
      await here(path);
      const { run } = await here(path);
      expect(await there(path, 'bob', {}, method)).not.toMatchObject({ run });
    }
  });

  it.each(['page', 'value', 'few'])(
    'each process has its own where all requests come with a store that nobody reads (%s)',
    async (path) => {
      tracing = new AsyncLocalStorage();
      const processes = [await start(platform), await start(platform), await start(platform)];
      for (let round = 0; round < 3; round++)
        for (const [i, each] of processes.entries())
          expect(await each(path)).toMatchObject({ tenant: null, run: i + 1 });
    },
  );

  it('all share what reads no storage, or ignores them', async () => {
    tracing = new AsyncLocalStorage();
    const processes = [await start(platform), await start(platform)];
    for (const path of ['none', 'ignoring']) {
      runs = 0;
      for (const each of processes) expect((await each(path)).run).toBe(1);
    }
  });

  it('it is not promised to caches in front, which cannot know either', async () => {
    const here = await start(platform);
    expect((await here('page')).fields['cache-control']).toMatch(/^private/);
    expect((await here('page')).fields['cache-control']).toMatch(/^private/);
    expect((await here('none')).fields['cache-control']).not.toMatch(/private/);
    expect((await here('ignoring')).fields['cache-control']).not.toMatch(/private/);
  });

  it('nor sent before there is a tenant, in front of middleware', async () => {
    const here = await start(platform);
    for (let i = 0; i < 2; i++) expect(await here('lane')).toMatchObject({ tenant: null, run: 1 });
    expect(await here('lane', 'bob')).toMatchObject({ tenant: 'bob', run: 2 });
    expect(await here('lane')).toMatchObject({ tenant: null, run: 1 });
  });
});
