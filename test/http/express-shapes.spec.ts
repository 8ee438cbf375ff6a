import 'reflect-metadata';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { Controller, Get, type INestApplication } from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import { CachePage, TieredCacheModule } from '../../src/index.js';
import { keepExpressShapes } from '../../src/http/express-shapes.js';
import { closeAll, serve } from '../nest/boot.js';
import { ask } from './wire/wire.client.js';

// What makes a hit on Express take a third of the time on Node 20: V8 has one hidden class for all requests, and one for all responses.

setFlagsFromString('--allow-natives-syntax');
// eslint-disable-next-line no-new-func
const haveSameShape = new Function('a', 'b', 'return %HaveSameMap(a, b)') as (a: object, b: object) => boolean;

afterEach(closeAll);

@Controller('books')
class Books {
  @Get(':id')
  @CachePage('1m')
  one(): string {
    return 'one';
  }
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Two hits, as they are when they have been sent. */
async function twoHits(): Promise<[Exchange, Exchange]> {
  const seen: Exchange[] = [];
  const { url } = await serve(
    'express',
    { imports: [TieredCacheModule.forRoot()], controllers: [Books] },
    (app: INestApplication) =>
      app.use((request: IncomingMessage, response: ServerResponse, next: () => void) => {
        response.once('close', () => seen.push({ request, response }));
        next();
      }),
  );
  // The first ones fill the page, and make the classes.
  for (let asked = 1; asked <= 4; asked++) {
    await ask(`${url}/books/7`);
    while (seen.length < asked) await new Promise((resolve) => setImmediate(resolve));
  }
  return seen.slice(-2) as [Exchange, Exchange];
}

describe('on Express', () => {
  it('responses that were sent from the cache have one shape', async () => {
    const [first, second] = await twoHits();
    expect(haveSameShape(first.response, second.response)).toBe(true);
  });

  it('nobody can tell that properties were set before: they have the values they would be read as', async () => {
    const seen: Array<Record<string, unknown>> = [];
    const { url } = await serve('express', { imports: [TieredCacheModule.forRoot()], controllers: [Books] }, (app) => {
      const server = app.getHttpServer() as Server;
      // `listen()` starts the application, and ours is put first then: what stands there now comes right behind.
      server.prependListener('request', (request: object, response: ServerResponse) => {
        const asked = request as Record<string, unknown>;
        const { statusCode, statusMessage } = response;
        const names = ['res', 'next', 'baseUrl', 'originalUrl', '_parsedUrl', 'params', 'route'];
        seen.push({
          ...Object.fromEntries(names.map((name) => [name, asked[name]])),
          statusCode,
          statusMessage,
          hasBody: 'body' in asked,
        });
      });
    });
    expect((await ask(`${url}/books/7`)).status).toBe(200);
    const [first = {}] = seen;
    expect(Object.entries(first).filter(([, value]) => value !== undefined)).toEqual([
      ['statusCode', 200],
      ['hasBody', false],
    ]);
  });
});

describe('nothing listens', () => {
  const of = (type: string, node: string): number => {
    let listeners = 0;
    const server = { prependListener: () => listeners++ };
    keepExpressShapes({ getType: () => type, getHttpServer: () => server }, node);
    return listeners;
  };

  it('where V8 does it by itself, and where nobody changes prototypes', () => {
    expect([of('express', '20.20.2'), of('express', '22.12.0')]).toEqual([1, 1]);
    expect([of('express', '24.0.0'), of('fastify', '20.20.2')]).toEqual([0, 0]);
    expect(() => keepExpressShapes(undefined)).not.toThrow();
  });

  it('where no page is cached', async () => {
    const { app } = await serve('express', { imports: [TieredCacheModule.forRoot()], controllers: [] });
    const server = app.getHttpServer() as Server;
    expect(server.listenerCount('request')).toBe(1);
  });
});
