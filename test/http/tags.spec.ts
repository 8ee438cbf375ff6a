import 'reflect-metadata';
import { Controller, Get, Header, Logger, Param, Put, Query, Req, Res, UseGuards } from '@nestjs/common';
import { of, type Observable } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  byParams,
  byRoute,
  byUser,
  CachePage,
  CacheResponse,
  CacheService,
  type PageAnswer,
  TieredCacheModule,
  type TieredCacheOptions,
} from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';

afterEach(() => {
  vi.restoreAllMocks();
  return closeAll();
});

let runs = 0;
beforeEach(() => {
  runs = 0;
});

interface Made {
  id: string;
  run: number;
}

const made = (id: string): Made => ({ id, run: ++runs });
const tags = ({ value, status }: PageAnswer<Made>): string[] => [`course:${value.id}`, `status:${status}`];

const recognise = {
  canActivate: (context: { switchToHttp(): { getRequest(): { user?: unknown } } }): boolean => {
    context.switchToHttp().getRequest().user = { id: 7 };
    return true;
  },
};

@Controller()
class Pages {
  @Get('page/:id')
  @CachePage({ ttl: '1m', tags })
  page(@Param('id') id: string): Made {
    return made(id);
  }

  @Get('lasting/:id')
  @CachePage({ ttl: '1m', staleWhileRevalidate: '1m', tags })
  lasting(@Param('id') id: string): Made {
    return made(id);
  }

  @Get('observable/:id')
  @CachePage({ ttl: '1m', tags })
  observable(@Param('id') id: string): Observable<Made> {
    return of(made(id));
  }

  @Get('wrong')
  @CachePage({ ttl: '1m', tags: ({ value }: PageAnswer) => (value as { no: { such: string[] } }).no.such })
  wrong(): Made {
    return made('wrong');
  }

  @Get('odd')
  @CachePage({ ttl: '1m', tags: () => 'abc' as never })
  odd(): Made {
    return made('odd');
  }

  @Get('labelled/:id')
  @Header('xkey', 'its-own')
  @CachePage({ ttl: '1m', tags: ({ value }: PageAnswer<Made>) => [`course:${value.id}`, 'with, comma'] })
  labelled(@Param('id') id: string): Made {
    return made(id);
  }

  @Get('mine')
  @UseGuards(recognise)
  @CachePage({ ttl: '1m', key: [byRoute(), byUser()], tags: ['mine'] })
  mine(): Made {
    return made('mine');
  }

  @Get('early')
  @CachePage({ ttl: '1m', public: true, beforeGuards: true, tags: ['early'] })
  early(): Made {
    return made('early');
  }

  @Get('confirmed')
  @CachePage({ mode: 'rfc', ttl: '1m', tags })
  @Header('cache-control', 'max-age=0, stale-while-revalidate=0')
  @Header('etag', '"same"')
  confirmed(
    @Req() request: { headers: Record<string, unknown> },
    @Res({ passthrough: true }) response: { status(code: number): void },
    @Query('age') _age: string,
  ): Made | undefined {
    if (request.headers['if-none-match'] === undefined) return made('confirmed');
    response.status(304);
    return undefined;
  }

  @Get('value/:id')
  @CacheResponse({ ttl: '1m', key: [byRoute(), byParams()] })
  @Header('cache-groups', '"courses"')
  value(@Param('id') id: string): Made {
    return made(id);
  }

  @Put('value/:id')
  @CacheResponse()
  edit(): void {}

  @Put('group')
  @CacheResponse()
  @Header('cache-group-invalidation', '"courses"')
  group(): void {}
}

async function site(platform: Platform, options: TieredCacheOptions = {}) {
  const { app, url } = await serve(platform, { imports: [TieredCacheModule.forRoot(options)], controllers: [Pages] });
  const cache = app.get(CacheService);
  const get = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${url}/${path}`, init);
    const body = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      run: body.startsWith('{') ? (JSON.parse(body) as Made).run : body,
      isHit: /hit/.test(response.headers.get('cache-status') ?? ''),
    };
  };
  return { cache, get, url };
}

describe.each<Platform>(['express', 'fastify'])('tags of pages, %s', (platform) => {
  it.each<[string, (cache: CacheService) => Promise<void>]>([
    ['expireTags', (cache) => cache.expireTags(['course:1'])],
    ['a stamp with a grace', (cache) => cache.setApplicationStamp('2', { grace: '1m' })],
  ])('%s makes pages stale, as their policy has it: made anew, or sent while that is done', async (_, soften) => {
    const { get, cache } = await site(platform);
    expect([await get('page/1'), await get('lasting/1')]).toMatchObject([{ run: 1 }, { run: 2 }]);
    await soften(cache);
    expect(await get('page/1')).toMatchObject({ run: 3, isHit: false });
    expect(await get('page/1')).toMatchObject({ run: 3, isHit: true });
    expect(await get('lasting/1')).toMatchObject({ run: 2, isHit: true });
    await vi.waitFor(async () => expect(await get('lasting/1')).toMatchObject({ run: 4, isHit: true }));
    expect(runs).toBe(4);
  });

  it.each(['page/1', 'observable/1'])('%s: by what the handler returned', async (path) => {
    const { get, cache } = await site(platform);
    expect(await get(path)).toMatchObject({ run: 1 });
    await cache.invalidateTags(['course:2', 'status:404']);
    expect(await get(path)).toMatchObject({ run: 1, isHit: true });
    await cache.invalidateTags(['course:1']);
    expect(await get(path)).toMatchObject({ run: 2 });
    await cache.invalidateTags(['status:200']);
    expect(await get(path)).toMatchObject({ run: 3 });
  });

  it.each([
    ['wrong', 'undefined'],
    ['odd', 'tags() must be an array; got a string'],
  ])('%s: what goes wrong there is logged; the client has its answer, and nothing is stored', async (path, message) => {
    const logged = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const { get } = await site(platform);
    expect(await get(path)).toMatchObject({ status: 200, run: 1 });
    expect(await get(path)).toMatchObject({ status: 200, run: 2 });
    expect(logged).toHaveBeenCalledWith(expect.stringContaining('a response could not be stored'));
    expect(logged).toHaveBeenCalledWith(expect.stringContaining(message));
  });

  it('values go with a successful unsafe request to their URI, and with the groups that they name', async () => {
    const { get, url } = await site(platform);
    const put = (path: string) => fetch(`${url}/${path}`, { method: 'PUT' });
    for (const path of ['value/1', 'value/2']) await get(path);
    await put('value/1');
    expect([(await get('value/1')).run, (await get('value/2')).run]).toEqual([3, 2]);
    await put('group');
    expect([(await get('value/1')).run, (await get('value/2')).run]).toEqual([4, 5]);
  });
});

describe.each<Platform>(['express', 'fastify'])('labels for caches in front, %s', (platform) => {
  const labelsOf = async (get: Awaited<ReturnType<typeof site>>['get'], path: string, field: string) => {
    const first = await get(path);
    const second = await get(path);
    expect([first.isHit, second.isHit]).toEqual([false, true]);
    return [first.headers.get(field), second.headers.get(field)];
  };

  it('are sent with what is stored, the first time and on hits', async () => {
    const { get, url } = await site(platform, { responses: { surrogateKeys: 'Surrogate-Key' } });
    const labels = `uri:${url}/page/1 course:1 status:200`;
    expect(await labelsOf(get, 'page/1', 'surrogate-key')).toEqual([labels, labels]);
    const early = `uri:${url}/early early`;
    expect(await labelsOf(get, 'early', 'surrogate-key')).toEqual([early, early]);
  });

  it('Cache-Tag has commas, and a label no comma', async () => {
    const { get, url } = await site(platform, { responses: { surrogateKeys: 'Cache-Tag' } });
    const labels = `uri:${url}/labelled/1,course:1,with%2C%20comma`;
    expect(await labelsOf(get, 'labelled/1', 'cache-tag')).toEqual([labels, labels]);
  });

  it("besides the handler's own", async () => {
    const { get, url } = await site(platform, { responses: { surrogateKeys: 'xkey' } });
    const [first, second] = await labelsOf(get, 'labelled/1', 'xkey');
    expect(first).toBe(`its-own, uri:${url}/labelled/1 course:1 with%2C%20comma`);
    expect(second).toBe(first);
  });

  it('not with the page of a principal, nor unless they are asked for', async () => {
    const { get } = await site(platform, { responses: { surrogateKeys: 'xkey' } });
    expect(await labelsOf(get, 'mine', 'xkey')).toEqual([null, null]);
    const other = await site(platform);
    expect(await labelsOf(other.get, 'page/1', 'xkey')).toEqual([null, null]);
  });

  it('a page that is confirmed keeps its own', async () => {
    const { get, cache } = await site(platform, { responses: { surrogateKeys: 'xkey' } });
    const first = await get('confirmed?age=0');
    const confirmed = await get('confirmed?age=0');
    expect([first.run, confirmed.run]).toEqual([1, 1]);
    expect(confirmed.headers.get('xkey')).toBe(first.headers.get('xkey'));
    expect(confirmed.headers.get('xkey')).toContain('course:confirmed');
    await cache.invalidateTags(['course:confirmed']);
    expect(await get('confirmed?age=0')).toMatchObject({ run: 2 });
  });

  it('the header has to be one', async () => {
    await expect(site(platform, { responses: { surrogateKeys: 'Surrogate Key' } })).rejects.toThrow(
      'responses.surrogateKeys must be the name of a header',
    );
  });
});
