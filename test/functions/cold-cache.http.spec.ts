import 'reflect-metadata';
import {
  Catch,
  Controller,
  Get,
  HttpException,
  UseFilters,
  type ArgumentsHost,
  type ExceptionFilter,
  type Provider,
} from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { lastValueFrom, type Observable } from 'rxjs';
import { afterEach, describe, expect, it } from 'vitest';
import { CacheService, ColdCacheException, ColdCacheFilter, TieredCacheModule } from '../../src/index.js';
import { boot, closeAll, serve, type Platform, type Served } from '../nest/boot.js';
import { Gate } from './fleet.js';

afterEach(closeAll);

/** A filter of the application, as many have one for the shape of their errors. */
@Catch(HttpException)
class Shaping implements ExceptionFilter {
  catch(error: HttpException, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<{ status(code: number): { send(body: unknown): unknown } }>();
    response.status(error.getStatus()).send({ shaped: error.message });
  }
}

@Catch(TypeError)
class Unrelated implements ExceptionFilter {
  catch(_error: unknown, host: ArgumentsHost): void {
    host.switchToHttp().getResponse<{ status(code: number): { send(body: unknown): unknown } }>().status(418).send({});
  }
}

let gate: Gate<string>;

@Controller()
class Reports {
  constructor(private readonly cache: CacheService) {}

  @Get('slow')
  slow(): Promise<string> {
    return this.cache.getOrSet('report', gate.load, { onCold: 'throw', lease: '7500ms' });
  }

  @UseFilters(Shaping)
  @Get('shaped')
  shaped(): Promise<string> {
    return this.slow();
  }

  @Get('other')
  other(): never {
    throw new HttpException('no', 404);
  }

  @Get('type')
  type(): never {
    throw new TypeError('no');
  }
}

/** An application in which somebody computes the report already. */
async function busy(
  platform: Platform,
  providers: Provider[] = [],
  prepare?: (app: Served['app']) => unknown,
): Promise<Served> {
  gate = new Gate();
  const served = await serve(
    platform,
    { imports: [TieredCacheModule.forRoot()], controllers: [Reports], providers },
    prepare,
  );
  const computing = fetch(`${served.url}/slow`);
  await gate.begun;
  cleanUp = async () => {
    gate.open('done');
    expect(await (await computing).text()).toBe('done');
  };
  return served;
}

let cleanUp: () => Promise<void> = async () => undefined;
afterEach(async () => {
  await cleanUp();
  cleanUp = async () => undefined;
});

async function answer(url: string): Promise<{ status: number; retryAfter: string | null; body: unknown }> {
  const response = await fetch(url);
  return { status: response.status, retryAfter: response.headers.get('retry-after'), body: await response.json() };
}

describe.each<Platform>(['express', 'fastify'])('ColdCacheException over HTTP on %s', (platform) => {
  it('is a 503 with Retry-After in whole seconds, and nothing about the key', async () => {
    const { url } = await busy(platform);
    expect(await answer(`${url}/slow`)).toEqual({
      status: 503,
      retryAfter: '8',
      body: {
        statusCode: 503,
        error: 'Service Unavailable',
        message: 'The answer is being computed; try again shortly',
        code: 'cold_cache',
      },
    });
  });

  it('leaves all other errors to Nest', async () => {
    const { url } = await busy(platform);
    expect(await answer(`${url}/other`)).toEqual({
      status: 404,
      retryAfter: null,
      body: { statusCode: 404, message: 'no' },
    });
    expect(await answer(`${url}/nowhere`)).toMatchObject({ status: 404, retryAfter: null });
  });

  it('a filter of the application bound by APP_FILTER shapes the answer; the header is there', async () => {
    const { url } = await busy(platform, [
      { provide: APP_FILTER, useClass: Shaping },
      { provide: APP_FILTER, useClass: Unrelated },
    ]);
    const shaped = { shaped: 'The answer is being computed; try again shortly' };
    expect(await answer(`${url}/slow`)).toEqual({ status: 503, retryAfter: '8', body: shaped });
    expect(await answer(`${url}/other`)).toEqual({ status: 404, retryAfter: null, body: { shaped: 'no' } });
    expect((await answer(`${url}/type`)).status).toBe(418);
  });

  it('a filter on the handler, or given to useGlobalFilters, answers alone', async () => {
    const shaped = {
      status: 503,
      retryAfter: null,
      body: { shaped: 'The answer is being computed; try again shortly' },
    };
    const { url } = await busy(platform);
    expect(await answer(`${url}/shaped`)).toEqual(shaped);
    await cleanUp();
    const second = await busy(platform, [], (app) => app.useGlobalFilters(new Shaping()));
    expect(await answer(`${second.url}/slow`)).toEqual(shaped);
  });
});

/** Microservices, WebSockets and GraphQL are not installed here: what Nest would hand to a filter is made by hand. */
describe('ColdCacheException elsewhere', () => {
  const cold = new ColdCacheException('secret-key', 1200);
  const message = {
    status: 'error',
    code: 'cold_cache',
    message: 'The answer is being computed; try again shortly',
    retryAfterMs: 1200,
  };
  const host = (type: string, parts: object = {}): ArgumentsHost =>
    ({ getType: () => type, ...parts }) as unknown as ArgumentsHost;

  async function filter(): Promise<ColdCacheFilter> {
    const app = await boot([TieredCacheModule.forRoot()], [ColdCacheFilter]);
    return app.get(ColdCacheFilter);
  }

  it('rpc: an Observable that fails with a plain object', async () => {
    const result = (await filter()).catch(cold, host('rpc')) as Observable<unknown>;
    await expect(lastValueFrom(result)).rejects.toEqual(message);
  });

  it('ws: the event "exception"', async () => {
    const emitted: unknown[] = [];
    const client = { emit: (...args: unknown[]) => emitted.push(args) };
    (await filter()).catch(cold, host('ws', { switchToWs: () => ({ getClient: () => client }) }));
    expect(emitted).toEqual([['exception', message]]);
  });

  it('graphql: the error itself, with its extensions', async () => {
    expect((await filter()).catch(cold, host('graphql'))).toBe(cold);
    expect(cold.extensions).toMatchObject({
      code: 'COLD_CACHE',
      retryAfterMs: 1200,
      http: { status: 503, headers: new Map([['retry-after', '2']]) },
    });
    expect(JSON.stringify([cold.extensions, message, cold.getResponse()])).not.toContain('secret-key');
  });

  it('anything else: not handled, so that it is thrown on', async () => {
    expect((await filter()).catch(cold, host('necord'))).toBeUndefined();
  });
});
