import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Cached, CacheService, TieredCacheModule, cachedMethod } from '../../src/index.js';
import { TIERED_CACHE_ENGINE } from '../../src/tiered-cache.constants.js';
import type { CacheEngine } from '../../src/core/cache-engine.js';
import { heard } from '../faults/subject.js';
import { boot, closeAll } from '../nest/boot.js';
import { RedisServer } from '../servers/redis.server.js';

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterEach(closeAll);
afterAll(() => server?.stop());

@Injectable()
class Books {
  runs = 0;
  answer: unknown;

  @Cached({ prefix: 'Books' })
  async top(_filter: unknown): Promise<unknown> {
    this.runs++;
    await Promise.resolve();
    return this.answer;
  }
}

async function process(): Promise<{ service: Books; cache: CacheService }> {
  const app = await boot([TieredCacheModule.forRoot({ remote: server.url })], [Books]);
  await heard(app.get<CacheEngine>(TIERED_CACHE_ENGINE));
  return { service: app.get(Books), cache: app.get(CacheService) };
}

describe('@Cached() on Redis', () => {
  it.each([[null], [undefined], [false], [0], ['']])(
    'shares %o between processes: it is a hit (F12)',
    async (answer) => {
      const [one, two] = [await process(), await process()];
      one.service.answer = answer;
      two.service.answer = 'loaded again';
      const filter = { answer: String(answer) };
      expect([await one.service.top(filter), await two.service.top(filter)]).toEqual([answer, answer]);
      expect([one.service.runs, two.service.runs]).toEqual([1, 0]);
    },
  );

  it('asks the server once for the concurrent calls of a process (F13)', async () => {
    const { service, cache } = await process();
    await service.top('warm');
    const gets = async (): Promise<number> => {
      const stats = (await server.command('INFO', 'commandstats')) as string;
      return Number(/cmdstat_(?:mget|get|getbuffer):calls=(\d+)/.exec(stats)?.[1] ?? 0);
    };
    const before = await gets();
    await Promise.all(Array.from({ length: 50 }, () => service.top('f13')));
    expect(service.runs).toBe(2);
    expect(cache.stats().coalesced).toBe(49);
    const during = (await gets()) - before;
    await service.top('f13-b');
    // As many as for one call.
    expect(during).toBeGreaterThan(0);
    expect(during).toBe((await gets()) - before - during);
  });

  it('has one entry for arguments that are equal in another process (F15)', async () => {
    const [one, two] = [await process(), await process()];
    await one.service.top({ x: 1, y: ['a', null] });
    await two.service.top({ y: ['a', null], x: 1 });
    await two.service.top({ y: ['a', null], x: '1' });
    expect([one.service.runs, two.service.runs]).toEqual([1, 1]);
  });

  it('refreshes and invalidates for the other processes (F16)', async () => {
    const [one, two] = [await process(), await process()];
    one.service.answer = 1;
    expect([await one.service.top('f16'), await two.service.top('f16')]).toEqual([1, 1]);
    one.service.answer = 2;
    expect(await cachedMethod(one.service, 'top').refresh('f16')).toBe(2);
    await expect.poll(() => two.service.top('f16')).toBe(2);
    expect(await cachedMethod(two.service, 'top').invalidate('f16')).toBe(true);
    await expect.poll(() => cachedMethod(one.service, 'top').peek('f16')).toBeUndefined();
    expect(await cachedMethod(two.service, 'top').invalidate('f16')).toBe(false);
  });
});
