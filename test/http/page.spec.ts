import 'reflect-metadata';
import { Controller, Get, HttpCode, Param, Put, Query, Res } from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import { CachePage, CacheService, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { pass } from './passing-time.js';

afterEach(closeAll);

let runs = 0;
let fails = false;

@Controller('books')
class Books {
  @Get('slow')
  @CachePage('1m')
  async slow(): Promise<object> {
    runs++;
    await new Promise((resolve) => setTimeout(resolve, 50));
    return { runs };
  }

  @Get('mine')
  @CachePage('1m')
  mine(): object {
    runs++;
    return { runs };
  }

  @Get('swr')
  @CachePage({ ttl: '1h', freshFor: '1m' })
  swr(): object {
    runs++;
    if (fails) throw new Error('upstream down');
    return { runs };
  }

  @Get(':id')
  @HttpCode(203)
  @CachePage({ ttl: '1m', tags: ['books'] })
  one(
    @Param('id') id: string,
    @Query('q') q: string | undefined,
    @Res({ passthrough: true }) res: { header(name: string, value: string): void },
  ): object {
    runs++;
    res.header('x-total-count', '7');
    return { id, q, runs };
  }

  @Put(':id')
  @CachePage()
  put(): object {
    return { ok: true };
  }
}

describe.each<Platform>(['express', 'fastify'])('@CachePage on %s', (platform) => {
  const boot = async (): Promise<{ url: string; cache: CacheService }> => {
    runs = 0;
    fails = false;
    const { app, url } = await serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Books] });
    return { url, cache: app.get(CacheService) };
  };

  it('answers the second request with the bytes, status and headers of the first', async () => {
    const { url } = await boot();
    const first = await fetch(`${url}/books/1?q=a`);
    const second = await fetch(`${url}/books/1?q=a`);
    expect(await second.text()).toBe(await first.text());
    expect([first.status, second.status]).toEqual([203, 203]);
    expect(second.headers.get('x-total-count')).toBe('7');
    expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
    expect(second.headers.get('etag')).toBe(first.headers.get('etag'));
    expect(first.headers.get('cache-status')).toBe('tiered-cache; fwd=uri-miss; stored');
    expect(second.headers.get('cache-status')).toMatch(/^tiered-cache; hit; ttl=(59|60); detail=memory$/);
    expect(second.headers.get('cache-control')).toMatch(/^max-age=(59|60)$/);
    expect(runs).toBe(1);
    const other = await fetch(`${url}/books/1?q=b`);
    expect(await other.json()).toMatchObject({ q: 'b', runs: 2 });
  });

  it('answers conditions from the stored response', async () => {
    const { url } = await boot();
    const first = await fetch(`${url}/books/1`);
    const etag = first.headers.get('etag') as string;
    const again = await fetch(`${url}/books/1`, { headers: { 'if-none-match': etag } });
    expect(again.status).toBe(304);
    expect(runs).toBe(1);
    const head = await fetch(`${url}/books/1`, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([203, String((await first.text()).length)]);
  });

  it('runs the handler once for 200 cold requests', async () => {
    const { url } = await boot();
    const bodies = await Promise.all(
      Array.from({ length: 200 }, async () => (await fetch(`${url}/books/slow`)).text()),
    );
    expect(new Set(bodies).size).toBe(1);
    expect(runs).toBe(1);
  });

  it('never shares with, or stores for, a request that says who asks', async () => {
    const { url } = await boot();
    const a = await fetch(`${url}/books/mine`, { headers: { authorization: 'Bearer a' } });
    const b = await fetch(`${url}/books/mine`, { headers: { authorization: 'Bearer b' } });
    expect([await a.json(), await b.json()]).toEqual([{ runs: 1 }, { runs: 2 }]);
  });

  it('forgets a URI after a successful unsafe request, and tags', async () => {
    const { url, cache } = await boot();
    await fetch(`${url}/books/1`);
    await fetch(`${url}/books/1`, { method: 'PUT' });
    expect(await (await fetch(`${url}/books/1`)).json()).toMatchObject({ runs: 2 });
    await cache.invalidateTags(['books']);
    expect(await (await fetch(`${url}/books/1`)).json()).toMatchObject({ runs: 3 });
  });

  it('serves stale while one refresh runs without a client, and when the handler fails', async () => {
    const { url } = await boot();
    const get = async (): Promise<unknown> => (await fetch(`${url}/books/swr`)).json();
    expect(await get()).toEqual({ runs: 1 });
    pass(61_000);
    const answers = (await Promise.all(Array.from({ length: 10 }, get))) as Array<{ runs: number }>;
    // Whoever came after the refresh was through has its result.
    expect(answers.every((answer) => answer.runs <= 2) && answers.some((answer) => answer.runs === 1)).toBe(true);
    await expect.poll(() => runs).toBe(2);
    fails = true;
    pass(61_000);
    expect(await get()).toEqual({ runs: 2 });
    await expect.poll(() => runs).toBe(3);
    expect(await get()).toEqual({ runs: 2 });
    expect(runs).toBe(3);
  });
});
