import 'reflect-metadata';
import { Controller, Get, Header, Res, StreamableFile, type INestApplication, type Type } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { CachePage, NoCache, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { fastifyOf } from './wire/wire.application.js';
import { pass } from './passing-time.js';
import { ask, steady, type Received } from './wire/wire.client.js';

afterEach(closeAll);

let runs = 0;
const BINARY = Buffer.from(Array.from({ length: 1000 }, (_, at) => (at * 7) % 256));
const LARGE = Buffer.alloc(5 << 20, 'large ');

async function* chunks(): AsyncGenerator<Buffer> {
  for (const part of [BINARY.subarray(0, 10), BINARY.subarray(10, 11), BINARY.subarray(11)]) {
    await new Promise((resolve) => setImmediate(resolve));
    yield part;
  }
}

/** The same handlers, cached or not. */
function bodies(path: string, cached: ClassDecorator): Type {
  @Controller(path)
  @cached
  class Bodies {
    @Get('json') json(): object {
      runs++;
      return { text: 'größer ☕', list: [1, null] };
    }
    @Get('text') text(): string {
      runs++;
      return 'größer ☕';
    }
    @Get('html')
    @Header('content-type', 'text/html; charset=latin1')
    html(): string {
      runs++;
      return '<p>plain</p>';
    }
    @Get('empty') empty(): string {
      runs++;
      return '';
    }
    @Get('null') null(): null {
      runs++;
      return null;
    }
    @Get('undefined') undefined(): undefined {
      runs++;
      return undefined;
    }
    @Get('number') number(): number {
      runs++;
      return 7;
    }
    @Get('boolean') boolean(): boolean {
      runs++;
      return false;
    }
    @Get('buffer') buffer(): Buffer {
      runs++;
      return BINARY.subarray(0, 20);
    }
    @Get('file') file(): StreamableFile {
      runs++;
      return new StreamableFile(BINARY, { type: 'image/png', disposition: 'attachment; filename="a.png"' });
    }
    @Get('sized') sized(): StreamableFile {
      runs++;
      return new StreamableFile(Readable.from(chunks()), { type: 'image/png', length: BINARY.length });
    }
    @Get('chunked') chunked(): StreamableFile {
      runs++;
      return new StreamableFile(Readable.from(chunks()));
    }
    @Get('iterable') iterable(): AsyncIterable<Buffer> {
      runs++;
      return chunks();
    }
    @Get('response') response(): Response {
      runs++;
      return new Response(BINARY, { status: 203, headers: { 'content-type': 'image/png', 'x-own': 'yes' } });
    }
    @Get('stream') stream(): ReadableStream {
      runs++;
      return new Blob([BINARY]).stream();
    }
    @Get('large') large(): StreamableFile {
      runs++;
      return new StreamableFile(LARGE, { type: 'text/plain' });
    }
    @Get('large-chunked') largeChunked(): StreamableFile {
      runs++;
      return new StreamableFile(Readable.from([LARGE.subarray(0, 3 << 20), LARGE.subarray(3 << 20)]));
    }
    @Get('trailers') trailers(@Res() reply: { raw?: ServerResponse }): void {
      runs++;
      const response = reply.raw ?? (reply as unknown as ServerResponse);
      response.setHeader('trailer', 'x-sum');
      response.write('part');
      response.addTrailers({ 'x-sum': '4' });
      response.end();
    }
  }
  return Bodies;
}

const STORED = [
  'json',
  'text',
  'html',
  'empty',
  'null',
  'undefined',
  'number',
  'boolean',
  'buffer',
  'file',
  'sized',
  'chunked',
  'iterable',
  'response',
  'stream',
];
const PASSED = ['large', 'large-chunked', 'trailers'];

const own = ({ headers }: Received): Record<string, unknown> => {
  const { age: _age, 'cache-control': _control, 'cache-status': _status, etag: _etag, ...rest } = steady(headers);
  delete rest['transfer-encoding'];
  delete rest['content-length'];
  return rest;
};
const statusOf = ({ headers }: Received): string => String(headers['cache-status']);

describe.each<Platform>(['express', 'fastify'])('bodies on %s', (platform) => {
  const start = async (prepare?: (app: INestApplication) => unknown): Promise<string> => {
    runs = 0;
    const controllers = [bodies('cached', CachePage({ ttl: '1h', freshFor: '1m' })), bodies('plain', NoCache())];
    return (await serve(platform, { imports: [TieredCacheModule.forRoot()], controllers }, prepare)).url;
  };

  it.each(STORED)('%s: byte for byte cold, warm and stale, with one validator and the right length', async (path) => {
    const url = await start();
    const plain = await ask(`${url}/plain/${path}`);
    const cold = await ask(`${url}/cached/${path}`);
    const warm = await ask(`${url}/cached/${path}`);
    const near = await ask(`${url}/cached/${path}`);
    expect(runs).toBe(2);
    expect(statusOf(warm)).toContain('; hit');
    pass(61_000);
    const stale = await ask(`${url}/cached/${path}`);
    expect(statusOf(stale)).toMatch(/; hit; ttl=(-|0)/);
    await expect.poll(() => runs).toBe(3);
    const etag = warm.headers.etag;
    for (const got of [cold, warm, near, stale]) {
      expect(got.body.equals(plain.body), `${statusOf(got)}: ${got.body.length} of ${plain.body.length} bytes`).toBe(
        true,
      );
      expect([got.status, own(got), got.broken]).toEqual([plain.status, own(plain), false]);
      const length = got.headers['content-length'];
      if (length !== undefined || got !== cold) expect(length).toBe(String(plain.body.length));
      // A body that is not known yet goes out without one.
      if (got !== cold || got.headers.etag !== undefined) expect(got.headers.etag).toBe(etag);
    }
    if (plain.body.length > 0) expect(etag).toBeDefined();
    const head = await ask(`${url}/cached/${path}`, { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.headers.etag]).toEqual([
      plain.status,
      String(plain.body.length),
      etag,
    ]);
    expect(runs).toBe(3);
  });

  it.each(PASSED)('%s: byte for byte, and never stored', async (path) => {
    const url = await start();
    const plain = await ask(`${url}/plain/${path}`);
    for (const run of [2, 3]) {
      const got = await ask(`${url}/cached/${path}`);
      expect(got.body.equals(plain.body)).toBe(true);
      expect([got.status, own(got), got.trailers, runs]).toEqual([plain.status, own(plain), plain.trailers, run]);
      expect(got.headers['content-length']).toBe(plain.headers['content-length']);
    }
  });

  it('ranges of what is stored are its bytes', async () => {
    const url = await start();
    await ask(`${url}/cached/file`);
    const part = await ask(`${url}/cached/file`, { headers: { range: 'bytes=10-19' } });
    expect([part.status, part.headers['content-range'], part.headers['content-length']]).toEqual([
      206,
      'bytes 10-19/1000',
      '10',
    ]);
    expect(part.body.equals(BINARY.subarray(10, 20))).toBe(true);
    const beyond = await ask(`${url}/cached/file`, { headers: { range: 'bytes=5000-' } });
    expect([beyond.status, beyond.headers['content-range']]).toEqual([416, 'bytes */1000']);
  });

  it('compression around the cache works on hits as on misses', async () => {
    const url = await start((app) => (platform === 'express' ? app.use(compression) : compressReplies(app)));
    const ask_ = (encoding: string) => ask(`${url}/cached/json`, { headers: { 'accept-encoding': encoding } });
    const text = '{"text":"größer ☕","list":[1,null]}';
    for (let round = 0; round < 3; round++) {
      const gzip = await ask_('gzip');
      expect([gzip.headers['content-encoding'], gunzipSync(gzip.body).toString()]).toEqual(['gzip', text]);
      const identity = await ask_('identity');
      expect([identity.headers['content-encoding'], identity.body.toString()]).toEqual([undefined, text]);
      expect(gzip.headers.vary?.toLowerCase()).toContain('accept-encoding');
    }
    // Around the wire the stored bytes are one; in a hook of Fastify they are stored as they are sent: one for each coding.
    expect(runs).toBe(platform === 'express' ? 1 : 2);
  });
});

/** As the package compression does: the response's own methods are wrapped before anybody else comes. */
function compression(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  const { end } = response;
  const isWanted = request.headers['accept-encoding'] === 'gzip';
  response.end = function (this: ServerResponse, ...args: unknown[]): ServerResponse {
    this.setHeader('vary', 'Accept-Encoding');
    const body = args[0];
    if (!isWanted || (typeof body !== 'string' && !Buffer.isBuffer(body)))
      return Reflect.apply(end, this, args) as ServerResponse;
    this.removeHeader('content-length');
    this.setHeader('content-encoding', 'gzip');
    return Reflect.apply(end, this, [gzipSync(body)]) as ServerResponse;
  } as typeof end;
  next();
}

type Reply = {
  header(name: string, value: string): void;
  getHeader(name: string): unknown;
  removeHeader(name: string): void;
};

/** As @fastify/compress does. */
function compressReplies(app: INestApplication): void {
  fastifyOf(app).addHook('onSend', (async (
    request: { headers: Record<string, string> },
    reply: Reply,
    payload: unknown,
  ) => {
    reply.header('vary', 'accept-encoding');
    if (request.headers['accept-encoding'] !== 'gzip' || reply.getHeader('content-encoding')) return payload;
    if (typeof payload !== 'string' && !Buffer.isBuffer(payload)) return payload;
    reply.header('content-encoding', 'gzip');
    reply.removeHeader('content-length');
    return gzipSync(payload);
  }) as never);
}
