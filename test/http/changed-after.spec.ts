import 'reflect-metadata';
import { Controller, Get, Res, StreamableFile, type INestApplication } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { CachePage, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { fastifyOf } from './wire/wire.application.js';
import { ask } from './wire/wire.client.js';

// What somebody does to lists and bytes after he has sent them, changes neither what is stored nor what others are sent.

afterEach(closeAll);

interface Reply {
  readonly raw?: ServerResponse;
  header(name: string, value: string | string[]): void;
  hijack?(): void;
}

const rawOf = (response: Reply): ServerResponse => response.raw ?? (response as unknown as ServerResponse);

@Controller()
class Changing {
  @Get('list')
  @CachePage('1m')
  list(@Res({ passthrough: true }) response: Reply): string {
    const links = ['</a>', '</b>'];
    response.header('link', links);
    rawOf(response).once('finish', () => links.push('</late>'));
    return 'x';
  }

  @Get('written')
  @CachePage('1m')
  written(@Res({ passthrough: true }) response: Reply): void {
    const raw = rawOf(response);
    const links = ['</a>', '</b>'];
    const fields = { link: links, 'x-of': 'the page' };
    response.hijack?.();
    raw.writeHead(200, fields);
    links.push('</late>');
    fields['x-of'] = 'somebody';
    raw.end('x');
  }

  @Get('bytes')
  @CachePage('1m')
  bytes(@Res({ passthrough: true }) response: Reply): StreamableFile {
    const bytes = Buffer.from('mine');
    rawOf(response).once('finish', () => bytes.fill('z'));
    return new StreamableFile(bytes);
  }

  @Get('end')
  @CachePage('1m')
  end(@Res({ passthrough: true }) response: Reply): void {
    const bytes = Buffer.from('mine');
    response.hijack?.();
    // The tap has it now; the client is sent what it has copied.
    rawOf(response).end(bytes);
    bytes.fill('z');
  }

  @Get('plain')
  @CachePage('1m')
  plain(@Res({ passthrough: true }) response: Reply): string {
    response.header('link', ['</a>', '</b>']);
    return 'x';
  }
}

const start = (platform: Platform, prepare: (app: INestApplication) => unknown = () => undefined) =>
  serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Changing] }, prepare);

describe.each(['express', 'fastify'] as const)('on %s', (platform) => {
  it.each(['list', 'written', 'bytes', 'end'])('what is changed after sending is not stored: %s', async (what) => {
    const { url } = await start(platform);
    const first = await ask(`${url}/${what}`);
    for (const again of [await ask(`${url}/${what}`), await ask(`${url}/${what}`)]) {
      if (what !== 'written') expect(again.headers['cache-status']).toContain('; hit');
      expect(again.body.toString()).toBe(first.body.toString());
      expect(again.headers['link']).toBe(first.headers['link']);
    }
    if (what === 'list' || what === 'written') expect(first.headers['link']).toBe('</a>, </b>');
    if (what === 'written') expect(first.headers['x-of']).toBe('the page');
    if (what === 'end') expect(first.body.toString()).toBe('mine');
  });

  it('lists that middleware adds to on a hit stay as they are stored', async () => {
    const { url } = await start(platform, (app) => {
      app.use((_request: unknown, response: ServerResponse, next: () => void) => {
        const { writeHead } = response;
        response.writeHead = ((...args: unknown[]) => {
          const given = args.find((arg) => typeof arg === 'object') as Record<string, unknown> | undefined;
          const links = given?.['link'] ?? response.getHeader('link');
          if (Array.isArray(links)) links.push('</mine>');
          return Reflect.apply(writeHead, response, args) as ServerResponse;
        }) as typeof writeHead;
        next();
      });
    });
    for (let times = 0; times < 4; times++)
      expect((await ask(`${url}/plain`)).headers['link']).toBe('</a>, </b>, </mine>');
  });

  it('what somebody between the cache and the wire writes into a hit is sent to nobody else', async () => {
    let writes = false;
    const overwritten = (bytes: unknown): void => void (writes && Buffer.isBuffer(bytes) && bytes.fill('z'));
    const { url } = await start(platform, (app) => {
      if (platform === 'fastify') {
        fastifyOf(app).addHook('onSend', (async (_request: unknown, _reply: unknown, payload: unknown) => {
          overwritten(payload);
          return payload;
        }) as never);
        return;
      }
      app.use((_request: unknown, response: ServerResponse, next: () => void) => {
        const { end } = response;
        response.end = ((...args: unknown[]) => {
          overwritten(args[0]);
          return Reflect.apply(end, response, args) as ServerResponse;
        }) as typeof end;
        next();
      });
    });
    const bodies: string[] = [];
    for (writes of [false, false, true, false]) bodies.push((await ask(`${url}/plain`)).body.toString());
    expect(bodies).toEqual(['x', 'x', 'z', 'x']);
  });
});
