import 'reflect-metadata';
import { request as send } from 'node:http';
import {
  Controller,
  Get,
  Head,
  Header,
  Headers,
  Injectable,
  Param,
  Post,
  Query,
  Req,
  UseGuards,
  VersioningType,
  type CanActivate,
  type INestApplication,
  type Type,
  type VersioningOptions,
} from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import {
  byHeaders,
  byIp,
  byParams,
  byQuery,
  byRoute,
  byUser,
  CachePage,
  CacheResponse,
  CacheService,
  custom,
  TieredCacheModule,
  type ResponseCachePolicy,
} from '../../src/index.js';
import { bootError, closeAll, serve, type Platform } from '../nest/boot.js';

afterEach(closeAll);

const LANE = { ttl: '1m', public: true, beforeGuards: true } as const;

let runs = 0;
let guarded = 0;
let arrived = 0;

@Injectable()
class CountingGuard implements CanActivate {
  canActivate(): boolean {
    guarded++;
    return true;
  }
}

@Controller('books')
@UseGuards(CountingGuard)
class Books {
  @Get('varied')
  @CachePage(LANE)
  varied(@Headers('accept-language') language: string | undefined): object {
    return { runs: ++runs, language };
  }

  @Get('keyed')
  @CachePage({ ...LANE, key: [byRoute(), byParams(), byQuery('*'), byHeaders('x-shop')] })
  keyed(@Headers('x-shop') shop: string | undefined): object {
    return { runs: ++runs, shop };
  }

  @Get('short')
  @CachePage({ ...LANE, ttl: 150 })
  short(): object {
    return { runs: ++runs };
  }

  @Get('stale')
  @CachePage({ ...LANE, ttl: '1m', freshFor: 100 })
  stale(): object {
    return { runs: ++runs };
  }

  @Get('mine')
  @CachePage('1m')
  mine(): object {
    return { runs: ++runs };
  }

  @Head('head')
  head(): void {
    runs++;
  }

  @Get('head')
  @CachePage(LANE)
  notHead(): object {
    return { runs: ++runs };
  }

  @Get('host')
  @CachePage(LANE)
  host(@Req() request: { host: string; protocol: string }): object {
    return { runs: ++runs, host: request.host, protocol: request.protocol };
  }

  @Get(':id')
  @Header('x-static', 'yes')
  @CachePage({ ...LANE, tags: ['books'] })
  one(@Param('id') id: string, @Query('q') q?: string): object {
    return { id, q, runs: ++runs };
  }

  @Post(':id')
  @CachePage()
  change(): object {
    return { ok: true };
  }
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Node's own client: sends what it is told to, `Host` as well. */
function ask(url: string, headers: Record<string, string | string[]> = {}, method = 'GET', body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = send(url, { method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

const runOf = ({ text }: Answer): number => (JSON.parse(text) as { runs: number }).runs;

function only(policy: ResponseCachePolicy, decorate: typeof CachePage | typeof CacheResponse = CachePage): Type {
  @Controller()
  class Route {
    @Get()
    @decorate(policy)
    get(): string {
      return '';
    }
  }
  return Route;
}

describe.each<Platform>(['express', 'fastify'])('The fast lane on %s', (platform) => {
  async function boot(
    prepare: (app: INestApplication) => unknown = () => undefined,
    controllers: Type[] = [Books],
    options: Parameters<typeof TieredCacheModule.forRoot>[0] = {},
  ): Promise<{ url: string; app: INestApplication; cache: CacheService }> {
    runs = guarded = arrived = 0;
    const { app, url } = await serve(
      platform,
      { imports: [TieredCacheModule.forRoot(options)], controllers },
      (app) => {
        app.use((_request: unknown, response: { setHeader(name: string, value: string): void }, next: () => void) => {
          arrived++;
          response.setHeader('x-frame-options', 'DENY');
          next();
        });
        return prepare(app);
      },
    );
    return { url, app, cache: app.get(CacheService) };
  }

  it('answers a hit as the interceptor would, without middleware and guards', async () => {
    const { url } = await boot();
    const miss = await ask(`${url}/books/1?q=a`);
    const hit = await ask(`${url}/books/1?q=a`);
    expect([arrived, guarded, runs]).toEqual([1, 1, 1]);
    expect([hit.status, hit.text]).toEqual([200, miss.text]);
    expect(hit.headers['cache-status']).toMatch(/^tiered-cache; hit; ttl=(59|60); detail=memory$/);
    expect(hit.headers['content-length']).toBe(String(Buffer.byteLength(miss.text)));
    for (const name of ['content-type', 'etag', 'x-static', 'x-frame-options'])
      expect([name, hit.headers[name]]).toEqual([name, miss.headers[name]]);
    expect(runOf(await ask(`${url}/books/1?q=b`))).toBe(2);
    expect(runOf(await ask(`${url}/books/2?q=a`))).toBe(3);
  });

  it('leaves routes without beforeGuards to the application', async () => {
    const { url } = await boot();
    for (let i = 0; i < 3; i++) await ask(`${url}/books/mine`);
    expect([arrived, guarded, runs]).toEqual([3, 3, 1]);
  });

  it('is for everybody, whoever says who he is', async () => {
    const { url } = await boot();
    await ask(`${url}/books/1`);
    const hit = await ask(`${url}/books/1`, { authorization: 'Bearer a', cookie: 'sid=1' });
    expect([runOf(hit), arrived]).toEqual([1, 1]);
  });

  it('sees that a page was invalidated by tag, by an unsafe request, with everything', async () => {
    const { url, cache } = await boot();
    const twice = async (): Promise<number> => {
      await ask(`${url}/books/1`);
      return runOf(await ask(`${url}/books/1`));
    };
    expect(await twice()).toBe(1);
    await cache.invalidateTags(['books']);
    expect(await twice()).toBe(2);
    await ask(`${url}/books/1`, {}, 'POST');
    expect(await twice()).toBe(3);
    await cache.namespace('http').clear();
    expect(await twice()).toBe(4);
    expect(guarded).toBe(5);
  });

  it('serves nothing that has expired, and leaves what is stale to the application', async () => {
    const { url } = await boot();
    expect(runOf(await ask(`${url}/books/short`))).toBe(1);
    await expect.poll(async () => runOf(await ask(`${url}/books/short`))).toBe(2);
    await ask(`${url}/books/stale`);
    const before = guarded;
    await expect.poll(async () => (await ask(`${url}/books/stale`), guarded)).toBeGreaterThan(before);
    // Sent stale, and refreshed once through the whole application.
    await expect.poll(async () => runOf(await ask(`${url}/books/stale`))).toBeGreaterThan(3);
  });

  it('answers HEAD, conditions and ranges from the page', async () => {
    const { url } = await boot();
    const full = await ask(`${url}/books/1`);
    const etag = full.headers['etag'] as string;
    await ask(`${url}/books/1`, {}, 'HEAD');
    const seen = arrived;
    const head = await ask(`${url}/books/1`, {}, 'HEAD');
    expect([head.status, head.text, head.headers['content-length']]).toEqual([200, '', String(full.text.length)]);
    expect(head.headers['etag']).toBe(etag);
    for (const condition of [etag, `"other", ${etag}`, '*']) {
      const same = await ask(`${url}/books/1`, { 'if-none-match': condition });
      expect([same.status, same.text, same.headers['etag']]).toEqual([304, '', etag]);
      expect(same.headers['content-length']).toBeUndefined();
    }
    expect((await ask(`${url}/books/1`, { 'if-none-match': '"other"' })).status).toBe(200);
    const part = await ask(`${url}/books/1`, { range: 'bytes=0-3' });
    expect([part.status, part.text, part.headers['content-length']]).toEqual([206, full.text.slice(0, 4), '4']);
    expect([arrived, runs]).toEqual([seen, 1]);
  });

  it('does not take a page for the answer to another handler of HEAD', async () => {
    const { url } = await boot();
    for (let i = 0; i < 2; i++) await ask(`${url}/books/head`);
    const head = await ask(`${url}/books/head`, {}, 'HEAD');
    // Fastify and Nest differ in which of the two answers; neither is the page of the lane.
    expect([head.text, arrived]).toEqual(['', 2]);
  });

  it('tells variants apart, learned and declared', async () => {
    const { url } = await boot();
    const said = async (path: string, name: string, values: Array<string | undefined>): Promise<unknown[]> => {
      const answers = [];
      for (const value of values) {
        const { text } = await ask(`${url}/books/${path}`, value === undefined ? {} : { [name]: value });
        const body = JSON.parse(text) as { language?: string; shop?: string };
        answers.push(body.language ?? body.shop);
      }
      return answers;
    };
    const languages = ['de', 'en', undefined, 'de', 'en', undefined];
    for (let i = 0; i < 2; i++) expect(await said('varied', 'accept-language', languages)).toEqual(languages);
    expect(runs).toBe(3);
    const shops = ['a', 'b', '', undefined];
    for (let i = 0; i < 2; i++) expect(await said('keyed', 'x-shop', shops)).toEqual(shops);
    expect(runs).toBe(7);
    const seen = arrived;
    await said('keyed', 'x-shop', shops);
    await said('varied', 'accept-language', languages);
    expect(arrived).toBe(seen);
  });

  it('tells hosts apart, and what proxies say of them, as the adapter does', async () => {
    const trusting = (app: INestApplication): void => {
      if (platform === 'express')
        (app.getHttpAdapter().getInstance() as { set(n: string, v: unknown): void }).set('trust proxy', true);
    };
    const { url } = await boot(trusting);
    const told = async (headers: Record<string, string>): Promise<string> =>
      (JSON.parse((await ask(`${url}/books/host`, headers)).text) as { host: string; protocol: string }).host;
    const requests = [
      { host: 'a.example' },
      { host: 'b.example' },
      { host: 'a.example', 'x-forwarded-host': 'c.example' },
    ];
    const cold = [];
    for (const headers of requests) cold.push(await told(headers));
    const warm = [];
    for (const headers of requests) warm.push(await told(headers));
    expect(warm).toEqual(cold);
    expect(cold.slice(0, 2)).toEqual(['a.example', 'b.example']);
    expect(cold[2]).toBe(platform === 'express' ? 'c.example' : 'a.example');
  });

  it('leaves a GET with a body, and unsafe methods, to the application', async () => {
    const { url } = await boot();
    await ask(`${url}/books/1`);
    await ask(`${url}/books/1`, { 'content-length': '2' }, 'GET', '{}');
    expect([arrived, runs]).toEqual([2, 2]);
  });

  it('goes by what arrived, not by what middleware made of it', async () => {
    const rewrite = (app: INestApplication): void =>
      void app.use(
        (request: { headers: Record<string, string>; rawHeaders: string[] }, _: unknown, next: () => void) => {
          if (request.headers['x-user'] === 'b') request.headers['x-shop'] = 'b';
          next();
        },
      );
    const { url } = await boot(rewrite);
    const shop = async (headers: Record<string, string>): Promise<string> =>
      (JSON.parse((await ask(`${url}/books/keyed`, headers)).text) as { shop: string }).shop;
    for (let i = 0; i < 2; i++) {
      expect(await shop({ 'x-shop': 'a' })).toBe('a');
      expect(await shop({ 'x-shop': 'b' })).toBe('b');
    }
  });

  it.each<[string, VersioningOptions, Record<string, string>, Record<string, string>, number]>([
    ['a header', { type: VersioningType.HEADER, header: 'X-Version' }, { 'x-version': '1' }, { 'x-version': '2' }, 2],
    ['the media type', { type: VersioningType.MEDIA_TYPE, key: 'v=' }, { accept: 'a/b;v=1' }, { accept: 'a/b;v=2' }, 2],
    [
      'a function, where it has no part',
      {
        type: VersioningType.CUSTOM,
        extractor: (request) => (request as { headers: Record<string, string> }).headers['x-any'] ?? '',
      },
      { 'x-any': '1' },
      { 'x-any': '2' },
      6,
    ],
  ])('tells API versions apart by %s', async (_, versioning, first, second, reached) => {
    @Controller({ path: 'v', version: '1' })
    class One {
      @Get()
      @CachePage(LANE)
      get(): string {
        return 'one';
      }
    }
    @Controller({ path: 'v', version: '2' })
    class Two {
      @Get()
      @CachePage(LANE)
      get(): string {
        return 'two';
      }
    }
    const { url } = await boot((app) => app.enableVersioning(versioning), [One, Two]);
    for (let i = 0; i < 3; i++) {
      expect((await ask(`${url}/v`, first)).text).toBe('one');
      expect((await ask(`${url}/v`, second)).text).toBe('two');
    }
    expect(arrived).toBe(reached);
  });

  it('lets who wishes to skip tiers through to the guards', async () => {
    const { url } = await boot(undefined, [Books], { forceMiss: { canForceMiss: () => true } });
    await ask(`${url}/books/1`);
    await ask(`${url}/books/1`, { 'x-force-cache-miss': 'true' });
    expect(arrived).toBe(2);
  });
});

describe('A policy with beforeGuards stops the boot', () => {
  const refused: Array<[string, ResponseCachePolicy, RegExp]> = [
    ['without public: true', { beforeGuards: true }, /beforeGuards needs public: true/],
    ['with a public that depends', { ...LANE, public: () => true }, /needs public: true/],
    ['with byUser()', { ...LANE, key: [byRoute(), byUser()] }, /path, query and headers only; leave out user/],
    ['with byIp()', { ...LANE, key: [byRoute(), byIp()] }, /leave out ip/],
    ['with custom()', { ...LANE, key: [byRoute(), custom(() => 1)] }, /leave out custom/],
    ['with cookies', { ...LANE, cookies: ['theme'] }, /leave out cookies/],
    ['with a key function', { ...LANE, key: () => 'k' }, /key is a function/],
    ['with a bypass that depends', { ...LANE, bypass: () => false }, /bypass is a function/],
  ];
  it.each(refused)('%s', async (_, policy, message) => {
    const error = await bootError([
      TieredCacheModule.forRoot(),
      { module: class Routes {}, controllers: [only(policy)] },
    ]);
    expect(error.message).toMatch(message);
  });

  it('on @CacheResponse, at once or by a named policy', async () => {
    expect(() => only(LANE, CacheResponse)).toThrow(/for whole responses/);
    const routes = { module: class Routes {}, controllers: [only({ extends: 'lane' }, CacheResponse)] };
    const root = TieredCacheModule.forRoot({ responses: { policies: { lane: LANE } } });
    expect((await bootError([root, routes])).message).toMatch(/for whole responses/);
  });
});
