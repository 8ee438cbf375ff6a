import 'reflect-metadata';
import { Controller, Get, InternalServerErrorException, type Type } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CacheResponse, TieredCacheModule, type ResponseCachePolicy } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { pass } from './passing-time.js';
import { Gate } from './subject.js';
import { ask } from './wire/wire.client.js';

// The lives of values. A millisecond after it was made a value here is stale.

let runs: number;
let gate: Gate;
let isBroken: boolean;
beforeEach(() => {
  runs = 0;
  gate = new Gate();
  isBroken = false;
});
afterEach(closeAll);

function values(policy: ResponseCachePolicy): Type {
  @Controller()
  class Values {
    @Get('value')
    @CacheResponse(policy)
    async value(): Promise<object> {
      const run = ++runs;
      if (run > 1) await gate.opened;
      if (isBroken) throw new InternalServerErrorException(`run ${run}`);
      return { run };
    }
  }
  return Values;
}

describe.each<Platform>(['express', 'fastify'])('a value on %s', (platform) => {
  const start = async (policy: ResponseCachePolicy): Promise<() => Promise<{ status: number; run?: number }>> => {
    const metadata = { imports: [TieredCacheModule.forRoot()], controllers: [values(policy)] };
    const { url } = await serve(platform, metadata);
    return async () => {
      const { status, body } = await ask(`${url}/value`);
      return { status, ...(JSON.parse(body.toString()) as object) };
    };
  };

  it.each<ResponseCachePolicy>([
    { ttl: 1, staleWhileRevalidate: '1m' },
    { ttl: () => 1, staleWhileRevalidate: () => '1m', staleIfError: 1 },
    { ttl: '1m', freshFor: 1 },
    { ttl: '1m', freshFor: 1, staleIfError: 1 },
  ])('is served while one request makes the next one: %o', async (policy) => {
    const get = await start(policy);
    expect(await get()).toMatchObject({ run: 1 });
    pass(2);
    let refreshed: ReturnType<typeof get> | undefined;
    await expect
      .poll(() => {
        refreshed ??= get();
        return runs;
      })
      .toBe(2);
    expect(await get()).toMatchObject({ run: 1 });
    gate.release();
    expect(await refreshed).toMatchObject({ run: 2 });
  });

  it('is waited for by all, if it may be stale after an error only', async () => {
    const get = await start({ ttl: 1, staleIfError: '1m' });
    await get();
    pass(2);
    let refreshed: ReturnType<typeof get> | undefined;
    await expect
      .poll(() => {
        refreshed ??= get();
        return runs;
      })
      .toBe(2);
    const second = get();
    gate.release();
    expect(await refreshed).toMatchObject({ run: 2 });
    expect((await second).run).toBeGreaterThan(1);
  });

  it.each<[ResponseCachePolicy, number]>([
    [{ ttl: 1, staleIfError: '1m' }, 200],
    [{ staleIfError: '1m', freshFor: 1 }, 200],
    [{ ttl: '1m', freshFor: 1 }, 200],
    [{ ttl: 1, staleWhileRevalidate: '1m' }, 500],
    [{ ttl: 1 }, 500],
    [{ ttl: 0, staleIfError: '1m' }, 500],
  ])('is served when the next one fails, if its policy says so: %o', async (policy, status) => {
    const get = await start(policy);
    await get();
    pass(2);
    isBroken = true;
    gate.release();
    const seen: number[] = [];
    await expect
      .poll(async () => {
        seen.push((await get()).status);
        return runs;
      })
      .toBeGreaterThan(1);
    expect(seen.at(-1)).toBe(status);
  });
});

it.each<Platform>(['express', 'fastify'])(
  'a value on %s that is vetoed is for nobody who waited for it',
  async (platform) => {
    let asked = 0;
    // Both have come when the policy was asked twice.
    const bypass = (): boolean => (++asked === 2 && setImmediate(() => gate.release()), false);
    @Controller()
    class Vetoed {
      @Get()
      @CacheResponse({ ttl: '1m', bypass, shouldCache: () => false })
      async value(): Promise<object> {
        const run = ++runs;
        await gate.opened;
        return { run };
      }
    }
    const { url } = await serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Vetoed] });
    const bodies = (await Promise.all([ask(url), ask(url)])).map(({ body }) => body.toString());
    expect(bodies.toSorted()).toEqual(['{"run":1}', '{"run":2}']);
  },
);

describe('@CacheResponse', () => {
  it.each<ResponseCachePolicy>([
    { mode: 'rfc' },
    { negativeTtl: '1m' },
    { maxBytes: 1 },
    { maxVariants: 1 },
    { clientDirectives: true },
    { downstream: false },
    { beforeGuards: true, public: true },
  ])('refuses what is for whole responses: %o', (policy) => {
    expect(() => values(policy)).toThrow(
      /^@CacheResponse\.\w+ is for whole responses; leave it out, or use @CachePage\(\)$/,
    );
  });
});
