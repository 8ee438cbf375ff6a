import 'reflect-metadata';
import { Controller, Get, Req } from '@nestjs/common';
import { ExpressAdapter, type NestExpressApplication } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { connect } from 'node:net';
import type { INestApplication } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CachePage, CacheResponse, TieredCacheModule } from '../../src/index.js';

// Whichever name of the host a handler looks at, it is that of the client who is answered.

interface Named {
  readonly headers: Record<string, string | undefined>;
  readonly host?: string;
  readonly hostname: string;
  readonly url: string;
}

let app: INestApplication;
let runs: number;
beforeEach(() => void (runs = 0));
afterEach(() => app.close());

const said = ({ headers, host, hostname, url }: Named): object => {
  runs++;
  return { header: headers['host'] ?? null, host, hostname, url };
};

@Controller()
class Hosts {
  @Get('page')
  @CachePage('1m')
  page(@Req() request: Named): object {
    return said(request);
  }

  @Get('lane')
  @CachePage({ ttl: '1m', public: true, beforeGuards: true })
  lane(@Req() request: Named): object {
    return said(request);
  }

  @Get('value')
  @CacheResponse('1m')
  value(@Req() request: Named): object {
    return said(request);
  }
}

async function start(platform: 'express' | 'fastify', trustProxy: boolean): Promise<number> {
  const testing = await Test.createTestingModule({
    imports: [TieredCacheModule.forRoot()],
    controllers: [Hosts],
  }).compile();
  app =
    platform === 'express'
      ? testing.createNestApplication<NestExpressApplication>(new ExpressAdapter())
      : testing.createNestApplication(new FastifyAdapter({ trustProxy }));
  if (platform === 'express') (app as NestExpressApplication).set('trust proxy', trustProxy);
  await app.listen(0, '127.0.0.1');
  return (app.getHttpServer() as { address(): { port: number } }).address().port;
}

/** Byte for byte: no client library sends such targets. */
function send(port: number, target: string, fields: readonly string[]): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () =>
      socket.end(`GET ${target} HTTP/1.1\r\n${fields.join('\r\n')}\r\nconnection: close\r\n\r\n`),
    );
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('error', reject);
    socket.on('end', () => resolve(JSON.parse(/\{.*\}/.exec(text)?.[0] ?? '{}') as Record<string, unknown>));
  });
}

const FORWARDED = 'x-forwarded-host: shop.example';
const CLIENTS: ReadonlyArray<readonly string[]> = [
  ['host: a.example'],
  ['host: A.Example'],
  ['host: a.example:80'],
  ['host: b.example'],
  ['host: a.example', FORWARDED],
  ['host: b.example', FORWARDED],
  ['host: shop.example', FORWARDED],
  ['host: shop.example'],
];

describe.each(['express', 'fastify'] as const)('on %s', (platform) => {
  it.each([false, true])(
    'a handler is told the host of the client who is answered (proxies trusted: %s)',
    async (trust) => {
      const port = await start(platform, trust);
      for (const kind of ['page', 'lane', 'value'])
        for (const _again of [1, 2, 3])
          for (const fields of CLIENTS)
            for (const target of [`/${kind}`, `http://c.example/${kind}`, `http://d.example/${kind}`]) {
              const host = (fields[0] as string).slice('host: '.length);
              const seen = await send(port, target, fields);
              if (Object.keys(seen).length === 0 || !('header' in seen)) continue;
              const known = trust && fields.length > 1 ? 'shop.example' : host;
              expect(seen).toMatchObject({ header: host, url: target, hostname: known.replace(/:.*/, '') });
              expect(seen['host']).toBe(known);
            }
      expect(runs).toBeGreaterThan(0);
    },
  );

  it('one page answers all who say the same', async () => {
    const port = await start(platform, true);
    for (const _again of [1, 2, 3]) await send(port, '/page', ['host: inner', FORWARDED]);
    expect(runs).toBe(1);
  });
});
