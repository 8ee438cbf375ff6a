import 'reflect-metadata';
import {
  Catch,
  Controller,
  Get,
  Header,
  Res,
  type ArgumentsHost,
  type ExceptionFilter,
  type INestApplication,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CachePage, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { ask } from './wire/wire.client.js';

// A head that Node, or somebody who listens for it, refuses is not sent: then the exception filter's is, and nothing of the page's goes with it.

afterEach(closeAll);

let runs: number;
beforeEach(() => void (runs = 0));

interface Reply {
  readonly raw?: ServerResponse;
  header(name: string, value: string): void;
}

const rawOf = (response: Reply): ServerResponse => response.raw ?? (response as unknown as ServerResponse);

@Controller()
class Refused {
  @Get('reason')
  @CachePage('1m')
  reason(@Res({ passthrough: true }) response: Reply): object {
    runs++;
    rawOf(response).statusMessage = 'na\u20acve';
    return { page: true };
  }

  @Get('listener')
  @CachePage('1m')
  @Header('x-refuse', 'once')
  listener(): object {
    runs++;
    return { page: true };
  }

  @Get('written')
  @CachePage('1m')
  @Header('x-refuse', 'once')
  written(@Res({ passthrough: true }) response: Reply): object {
    runs++;
    rawOf(response).setHeader('x-written', 'here');
    return { page: true };
  }

  @Get('field')
  @CachePage('1m')
  field(@Res({ passthrough: true }) response: Reply): object {
    runs++;
    response.header('x-broken', 'na\u20acve');
    return { page: true };
  }

  @Get('promise')
  @CachePage({ ttl: '1m', downstream: () => 'max-age=60, na\u20acve' })
  promise(): object {
    runs++;
    return { page: true };
  }
}

@Catch()
class Filter implements ExceptionFilter {
  constructor(private readonly host: HttpAdapterHost) {}

  catch(_error: Error, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<Reply & { removeHeader(name: string): void }>();
    rawOf(response).statusMessage = '';
    for (const name of ['x-broken', 'x-refuse']) response.removeHeader(name);
    this.host.httpAdapter.reply(response, { refused: true }, 503);
  }
}

const start = (platform: Platform): Promise<{ url: string }> =>
  serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Refused] }, (app: INestApplication) => {
    app.use((_request: unknown, response: ServerResponse, next: () => void) => {
      const { writeHead } = response;
      // As `on-headers` does it.
      response.writeHead = ((...args: unknown[]) => {
        const fields = args.find((arg) => typeof arg === 'object') as Record<string, unknown> | undefined;
        if (response.getHeader('x-refuse') !== undefined || fields?.['x-refuse'] !== undefined) {
          response.removeHeader('x-refuse');
          throw new Error('refused');
        }
        return Reflect.apply(writeHead, response, args) as ServerResponse;
      }) as typeof writeHead;
      next();
    });
    app.useGlobalFilters(new Filter(app.get(HttpAdapterHost)));
  });

describe.each(['express', 'fastify'] as const)('on %s a page whose head is refused for its', (platform) => {
  it.each(['reason', 'listener', 'written', 'field', 'promise'])('%s leaves the answer to the filter', async (what) => {
    const { url } = await start(platform);
    for (const times of [1, 2]) {
      const { status, headers, body } = await ask(`${url}/${what}`);
      expect({ status, body: body.toString() }).toEqual({ status: 503, body: '{"refused":true}' });
      for (const name of ['age', 'cache-control', 'vary']) expect(headers).not.toHaveProperty(name);
      expect(headers['cache-status'] ?? '').not.toContain('stored');
      expect(headers['etag'] ?? 'W/"').toMatch(/^W\/"/);
      expect(headers['content-length']).toBe('16');
      expect(runs).toBe(times);
    }
  });
});
