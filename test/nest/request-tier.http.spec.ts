import 'reflect-metadata';
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  Body,
  Catch,
  Controller,
  Get,
  Injectable,
  Post,
  Query,
  UseFilters,
  UseGuards,
  type ArgumentsHost,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
} from '@nestjs/common';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CacheService, RequestCacheService, TieredCacheModule, type ForceMissOptions } from '../../src/index.js';
import { closeAll, serve, type Platform, type Served } from './boot.js';

afterEach(async () => {
  vi.restoreAllMocks();
  await closeAll();
});

interface Answerable {
  status(code: number): { send(body: unknown): unknown };
}

@Catch()
@Injectable()
class Remembering implements ExceptionFilter {
  constructor(private readonly request: RequestCacheService) {}

  catch(_error: unknown, host: ArgumentsHost): void {
    const value = this.request.get('k').getValueOrDefault('forgotten');
    host.switchToHttp().getResponse<Answerable>().status(418).send({ value });
  }
}

/** Recognises the caller, as an authentication guard would; and reads the cache first, as many do. */
@Injectable()
class Authentication implements CanActivate {
  constructor(private readonly cache: CacheService) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context
      .switchToHttp()
      .getRequest<{ headers: Record<string, string>; user?: { isStaff: boolean } }>();
    await this.cache.get('session');
    if (request.headers['x-user']) request.user = { isStaff: request.headers['x-user'] === 'staff' };
    return true;
  }
}

let waiting: Array<() => void> = [];

/** Lets nobody on before `count` have come. */
async function meet(count: number): Promise<void> {
  await new Promise<void>((resolve) => {
    waiting.push(resolve);
    if (waiting.length === count) for (const go of waiting.splice(0)) go();
  });
}

@Controller()
class Requests {
  loads = 0;
  afterwards: Promise<boolean> | undefined;

  constructor(
    private readonly cache: CacheService,
    private readonly request: RequestCacheService,
  ) {}

  @Get('interleaved')
  async interleaved(@Query('id') id: string): Promise<object> {
    const before = this.request.get('id').isFound;
    this.request.set('id', id);
    await meet(100);
    const values = [this.request.get('id').value];
    await this.cache.getOrSet(['own', id], () => id);
    await meet(100);
    values.push(this.request.get('id').value);
    return { before, values };
  }

  @Post('body')
  body(@Body() body: object): object {
    return { body, isActive: this.request.isActive };
  }

  @Get('tiers')
  async tiers(): Promise<unknown[]> {
    await this.cache.getOrSet('tiers', () => 1);
    return [(await this.cache.get('tiers')).tier];
  }

  @Get('fails')
  @UseFilters(Remembering)
  fails(): never {
    this.request.set('k', 'still here');
    throw new Error('on purpose');
  }

  @Get('detached')
  detached(@Query('reads') reads: string): string {
    if (reads === 'before') this.request.set('k', 1);
    let answered!: () => void;
    const sent = new Promise<void>((resolve) => (answered = resolve));
    this.release = answered;
    this.afterwards = sent.then(() => this.request.isActive);
    return 'done';
  }
  release: () => void = () => undefined;

  @Get('counted')
  @UseGuards(Authentication)
  async counted(): Promise<object> {
    const load = (): number => ++this.loads;
    return [await this.cache.getOrSet('counted', load), await this.cache.getOrSet('counted', load)];
  }
}

const metadata = (options = {}) => ({ imports: [TieredCacheModule.forRoot(options)], controllers: [Requests] });
const json = async (url: string, init?: RequestInit): Promise<unknown> => (await fetch(url, init)).json();

describe.each<Platform>(['express', 'fastify'])('the request tier on %s', (platform) => {
  it('keeps 100 interleaved requests apart', async () => {
    waiting = [];
    const { url } = await serve(platform, metadata());
    const ids = Array.from({ length: 100 }, (_, i) => String(i));
    const answers = await Promise.all(ids.map((id) => json(`${url}/interleaved?id=${id}`)));
    expect(answers).toEqual(ids.map((id) => ({ before: false, values: [id, id] })));
  });

  it('serves reads of one request, with global prefix, versioning and bodies', async () => {
    const { url } = await serve(platform, metadata(), (app) => app.setGlobalPrefix('api').enableVersioning());
    expect(await json(`${url}/api/tiers`)).toEqual(['request']);
    const init = { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } };
    expect(await json(`${url}/api/body`, init)).toEqual({ body: { a: 1 }, isActive: true });
  });

  it('is readable in exception filters', async () => {
    const { url } = await serve(platform, metadata());
    expect(await json(`${url}/fails`)).toEqual({ value: 'still here' });
  });

  it.each(['before', 'afterwards only'])('ends with the response for what outlives it and reads %s', async (reads) => {
    const closed: Array<Promise<void>> = [];
    const { app, url } = await serve(platform, metadata(), (application) =>
      application
        .getHttpServer()
        .on('request', (_request: unknown, response: { once(event: string, listener: () => void): void }) => {
          closed.push(new Promise((resolve) => response.once('close', resolve)));
        }),
    );
    await (await fetch(`${url}/detached?reads=${reads}`)).text();
    await Promise.all(closed);
    // Scope's own listener was added later than ours, to the same event.
    await Promise.resolve();
    const controller = app.get(Requests);
    controller.release();
    expect(await controller.afterwards).toBe(false);
  });

  it('keeps two applications in one process apart', async () => {
    const one = await serve(platform, metadata());
    const two = await serve(platform, metadata());
    const inside = one.app.get(RequestCacheService);
    await inside.runInCacheScope(async () => {
      inside.set('k', 1);
      expect(two.app.get(RequestCacheService).isActive).toBe(false);
      await one.app.get(CacheService).set('tiers', 'of one');
    });
    expect((await two.app.get(CacheService).get('tiers')).isFound).toBe(false);
    expect(await json(`${two.url}/counted`)).toEqual([1, 1]);
    expect(await json(`${one.url}/counted`)).toEqual([1, 1]);
    expect([one.app.get(Requests).loads, two.app.get(Requests).loads]).toEqual([1, 1]);
  });

  it('requestTier: false never enters an AsyncLocalStorage', async () => {
    const run = vi.spyOn(AsyncLocalStorage.prototype, 'run');
    const ours = (): unknown[] =>
      run.mock.calls.filter(([store]) => typeof store === 'object' && store !== null && 'scope' in store);
    const off = await serve(platform, metadata({ requestTier: false }));
    expect(await json(`${off.url}/tiers`)).toEqual(['memory']);
    expect(ours()).toHaveLength(0);
    const on = await serve(platform, metadata());
    await json(`${on.url}/tiers`);
    expect(ours()).toHaveLength(1);
  });
});

describe.each<Platform>(['express', 'fastify'])('forced miss on %s', (platform) => {
  const staffOnly: ForceMissOptions = { canForceMiss: ({ request }) => (request.user as { isStaff: boolean }).isStaff };
  const staff = { 'x-user': 'staff' };
  const forced = { 'x-force-cache-miss': 'tRuE' };

  async function counted({ url }: Served, headers: Record<string, string> = {}, query = ''): Promise<unknown> {
    return json(`${url}/counted${query}`, { headers });
  }

  it('is for nobody by default', async () => {
    const served = await serve(platform, metadata());
    expect(await counted(served)).toEqual([1, 1]);
    expect(await counted(served, { ...staff, ...forced }, '?force_cache_miss=true')).toEqual([1, 1]);
  });

  it('refreshes all tiers for those who may, once in a request, and for nobody else', async () => {
    const served = await serve(platform, metadata({ forceMiss: staffOnly }));
    expect(await counted(served)).toEqual([1, 1]);
    expect(await counted(served, staff)).toEqual([1, 1]);
    // Nobody is logged in, so that canForceMiss throws.
    expect(await counted(served, forced)).toEqual([1, 1]);
    expect(await counted(served, { 'x-user': 'guest', ...forced })).toEqual([1, 1]);
    expect(await counted(served, { ...staff, 'x-force-cache-miss': '1' })).toEqual([1, 1]);
    expect(await counted(served, { ...staff, ...forced })).toEqual([2, 2]);
    expect(await counted(served)).toEqual([2, 2]);
    expect(await counted(served, staff, '?a=1&force_cache_miss=TRUE')).toEqual([3, 3]);
    expect(await counted(served)).toEqual([3, 3]);
  });

  it('reads the names it is told, and takes only true for a yes', async () => {
    const own = await serve(
      platform,
      metadata({ forceMiss: { header: 'X-Refresh', query: false, canForceMiss: () => true } }),
    );
    expect(await counted(own)).toEqual([1, 1]);
    expect(await counted(own, forced, '?force_cache_miss=true')).toEqual([1, 1]);
    expect(await counted(own, { 'x-refresh': 'true' })).toEqual([2, 2]);
    const promised = { canForceMiss: async () => false } as unknown as ForceMissOptions;
    const served = await serve(platform, metadata({ forceMiss: promised }));
    expect(await counted(served, forced)).toEqual([1, 1]);
    expect(await counted(served, forced)).toEqual([1, 1]);
  });
});
