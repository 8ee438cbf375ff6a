import 'reflect-metadata';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:http2';
import { Readable } from 'node:stream';
import { Controller, Get, Put, Res, StreamableFile } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CachePage, CacheService, Idempotent, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';

const PARTS = 64;
const PART = Buffer.alloc(32_768, 'x');

const rawOf = (reply: unknown): ServerResponse => (reply as { raw?: ServerResponse }).raw ?? (reply as ServerResponse);

let state = 0;
let seen: unknown[] = [];

@Controller('page')
@CachePage('1m')
class Pages {
  @Get()
  read(): object {
    return { state };
  }

  @Put()
  write(): object {
    return { state: ++state };
  }
}

@Controller()
@CachePage('1m')
class Writers {
  @Get(['streamed', 'once', 'after', 'parts'])
  read(): object {
    return { state };
  }

  @Put('streamed')
  streamed(): StreamableFile {
    state++;
    return new StreamableFile(Readable.from(Array.from({ length: PARTS }, () => PART)));
  }

  @Put('once')
  @Idempotent({ scope: () => 'all' })
  once(): object {
    return { state: ++state };
  }

  @Put('after')
  after(@Res() reply: object): void {
    const raw = rawOf(reply);
    state++;
    raw.end('done');
    seen = [raw.headersSent, raw.writableEnded];
    expect(() => raw.setHeader('x-late', '1')).toThrow(/after they are sent/);
  }

  @Put('parts')
  parts(@Res() reply: object): void {
    const raw = rawOf(reply);
    state++;
    raw.write('a', () => seen.push('written'));
    raw.write(Buffer.from('b'));
    raw.end('c', () => seen.push('ended'));
  }
}

beforeEach(() => {
  state = 0;
  seen = [];
  const { invalidateTags } = CacheService.prototype;
  vi.spyOn(CacheService.prototype, 'invalidateTags').mockImplementation(async function (this: CacheService, tags) {
    await new Promise((resolve) => setTimeout(resolve, 40));
    return invalidateTags.call(this, tags);
  });
});
afterEach(() => vi.restoreAllMocks());
afterEach(closeAll);

const imports = [TieredCacheModule.forRoot()];

describe.each<Platform>(['express', 'fastify'])('an answer that is held, %s', (platform) => {
  const boot = async () => {
    const { url } = await serve(platform, { imports, controllers: [Writers] });
    const get = async (path: string): Promise<unknown> => (await fetch(`${url}/${path}`)).json();
    const put = (path: string, headers: Record<string, string> = {}) =>
      fetch(`${url}/${path}`, { method: 'PUT', headers });
    return { get, put };
  };

  it('goes on when there is room', async () => {
    const { get, put } = await boot();
    await get('streamed');
    expect((await (await put('streamed')).arrayBuffer()).byteLength).toBe(PARTS * PART.length);
    expect(await get('streamed')).toEqual({ state: 1 });
  });

  it('counts as sent for the application', async () => {
    const { put } = await boot();
    const answer = await put('after');
    expect([answer.status, answer.headers.get('content-length'), await answer.text()]).toEqual([200, '4', 'done']);
    expect(answer.headers.has('x-late')).toBe(false);
    expect(seen).toEqual([true, true]);
  });

  it('keeps its order, and calls back', async () => {
    const { put } = await boot();
    expect(await (await put('parts')).text()).toBe('abc');
    await vi.waitFor(() => expect(seen).toEqual(['written', 'ended']));
  });

  it('is kept for a repetition', async () => {
    const { get, put } = await boot();
    await get('once');
    const once = { 'idempotency-key': '"a-key-of-its-own"' };
    for (const round of [1, 2]) {
      expect(await (await put('once', once)).json(), `round ${round}`).toEqual({ state: 1 });
      expect(await get('once')).toEqual({ state: 1 });
    }
  });
});

it('an answer that is held, Fastify over HTTP/2', async () => {
  const testing = await Test.createTestingModule({ imports, controllers: [Pages, Writers] }).compile();
  const app = testing.createNestApplication(new FastifyAdapter({ http2: true } as never));
  await app.listen(0, '127.0.0.1');
  const { port } = (app.getHttpServer() as { address(): { port: number } }).address();
  const session = connect(`http://127.0.0.1:${port}`);
  const ask = (method: string, path: string) =>
    new Promise<string>((resolve, reject) => {
      const stream = session.request({ ':path': path, ':method': method });
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => resolve(Buffer.concat(chunks).toString()));
      stream.on('error', reject);
      stream.end();
    });
  try {
    expect(await ask('GET', '/page')).toBe('{"state":0}');
    expect(await ask('PUT', '/page')).toBe('{"state":1}');
    expect(await ask('GET', '/page')).toBe('{"state":1}');
    expect(await ask('GET', '/streamed')).toBe('{"state":1}');
    expect(await ask('PUT', '/streamed')).toHaveLength(PARTS * PART.length);
    expect(await ask('GET', '/streamed')).toBe('{"state":2}');
    expect(await ask('PUT', '/parts')).toBe('abc');
  } finally {
    session.close();
    await app.close();
  }
});
