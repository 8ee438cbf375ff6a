import 'reflect-metadata';
import {
  Controller,
  Get,
  Param,
  Req,
  Res,
  ServiceUnavailableException,
  StreamableFile,
  UseInterceptors,
  type INestApplication,
} from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { connect, type Http2ServerRequest, type Http2ServerResponse, type IncomingHttpHeaders } from 'node:http2';
import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { byIp, byRoute, CachePage, TieredCacheModule } from '../../../src/index.js';
import { pass } from '../passing-time.js';
import { fastifyOf, Wire, WireInterceptor } from './wire.application.js';

@Controller()
@UseInterceptors(WireInterceptor)
class Pages {
  @Get('json')
  json() {
    return { a: 1 };
  }

  @Get('stream')
  stream() {
    return new StreamableFile(Readable.from(['a', 'b']));
  }
}

it('Fastify over HTTP/2: capture, changed headers, replacement, stored response', async () => {
  const wire = new Wire();
  const testing = await Test.createTestingModule({
    controllers: [Pages],
    providers: [WireInterceptor, { provide: Wire, useValue: wire }],
  }).compile();
  const app = testing.createNestApplication(new FastifyAdapter({ http2: true } as never));
  const { ask, close } = await listening(app);
  try {
    for (const [path, body] of [
      ['/json', '{"a":1}'],
      ['/stream', 'ab'],
    ] as const) {
      wire.decide = () => ({ action: 'pass', headers: { etag: '"x"' } });
      expect(await ask(path)).toMatchObject({ body, headers: { ':status': 200, etag: '"x"' } });
      expect(await wire.outcome).toMatchObject({ status: 200, body: Buffer.from(body), addedLate: [] });
      wire.decide = () => ({
        action: 'swallow',
        replaceWith: () => ({ status: 203, headers: {}, body: Buffer.from('stale') }),
      });
      expect(await ask(path)).toMatchObject({ body: 'stale', headers: { ':status': 203, 'content-length': '5' } });
      expect(await wire.outcome).toMatchObject({ status: 200, body: Buffer.from(body), addedLate: [] });
    }
    wire.answer = { status: 200, headers: { etag: '"s"' }, body: Buffer.from('hit') };
    expect(await ask('/json')).toMatchObject({ body: 'hit', headers: { etag: '"s"', 'content-length': '3' } });
  } finally {
    await close();
  }
});

type Http2 = { readonly raw: Http2ServerRequest };
type Reading = (request: Http2ServerRequest, response: Http2ServerResponse) => unknown;

const READINGS: Readonly<Record<string, Reading>> = {
  nothing: () => 'x',
  socket: ({ socket }) => socket.remotePort,
  stream: ({ stream }) => stream.session?.socket.remotePort,
  reply: (_request, { stream }) => stream.session?.socket.remotePort,
  'reply socket': (_request, { socket }) => socket.remotePort,
};

@Controller()
class Read {
  runs = 0;

  @Get(':what')
  @CachePage('1m')
  read(
    @Param('what') what: string,
    @Req() { raw }: Http2,
    @Res({ passthrough: true }) reply: { readonly raw: Http2ServerResponse },
  ): object {
    return { run: ++this.runs, read: READINGS[what]?.(raw, reply.raw) };
  }
}

it('Fastify over HTTP/2: a page is shared, unless it is made of the connection, and never asked for with a body', async () => {
  const testing = await Test.createTestingModule({
    imports: [TieredCacheModule.forRoot()],
    controllers: [Read],
  }).compile();
  const { ask, close } = await listening(testing.createNestApplication(new FastifyAdapter({ http2: true } as never)));
  try {
    for (const what of Object.keys(READINGS)) {
      const [first, second] = [await ask(`/${encodeURI(what)}`), await ask(`/${encodeURI(what)}`)];
      expect([what, second.body === first.body]).toEqual([what, what === 'nothing']);
    }
    expect((await ask('/nothing', 'fat')).headers['cache-status']).toBeUndefined();
  } finally {
    await close();
  }
});

@Controller()
class Mine {
  @Get('mine')
  @CachePage({ ttl: '1m', key: [byRoute(), byIp()] })
  mine(): string {
    return 'x';
  }

  private runs = 0;

  @Get('failing')
  @CachePage({ ttl: 1, staleIfError: '1m', key: [byRoute(), byIp()] })
  failing(): string {
    if (++this.runs > 1) throw new ServiceUnavailableException();
    return 'x';
  }

  @Get('everybodys')
  @CachePage('1m')
  everybodys(): string {
    return 'x';
  }
}

it('Fastify over HTTP/2: a page that is private, or goes with a cookie, is kept from CDNs', async () => {
  const testing = await Test.createTestingModule({
    imports: [TieredCacheModule.forRoot()],
    controllers: [Mine],
  }).compile();
  const app = testing.createNestApplication(new FastifyAdapter({ http2: true } as never));
  let cookie: string | undefined;
  fastifyOf(app).addHook('onRequest', (async (
    _request: unknown,
    reply: { header(name: string, value: string): void },
  ) => {
    reply.header('surrogate-control', 'max-age=60');
  }) as never);
  fastifyOf(app).addHook('onSend', (async (
    _request: unknown,
    reply: { header(name: string, value: string): void },
    payload: unknown,
  ) => {
    reply.header('cdn-cache-control', 'max-age=60');
    if (cookie !== undefined) reply.header('set-cookie', cookie);
    return payload;
  }) as never);
  const { ask, close } = await listening(app);
  try {
    for (const path of ['/mine', '/failing', '/everybodys']) {
      cookie = undefined;
      await ask(path);
      if (path === '/everybodys') cookie = 'id=1';
      pass(2);
      const { headers } = await ask(path);
      expect(headers['cache-status']).toContain(path === '/failing' ? '; fwd-status=503' : '; hit');
      expect(headers[':status']).toBe(200);
      expect(headers['cache-control']).toMatch(/^private, /);
      for (const name of ['cdn-cache-control', 'surrogate-control']) expect(headers).not.toHaveProperty(name);
    }
  } finally {
    await close();
  }
});

async function listening(app: INestApplication) {
  await app.listen(0, '127.0.0.1');
  const { port } = (app.getHttpServer() as { address(): { port: number } }).address();
  const session = connect(`http://127.0.0.1:${port}`);
  const ask = (path: string, content?: string) =>
    new Promise<{ headers: IncomingHttpHeaders; body: string }>((resolve, reject) => {
      const stream = session.request({ ':path': path }, { endStream: content === undefined });
      let headers: IncomingHttpHeaders = {};
      const chunks: Buffer[] = [];
      stream.on('response', (received) => (headers = received));
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => resolve({ headers, body: Buffer.concat(chunks).toString() }));
      stream.on('error', reject);
      if (content !== undefined) stream.end(content);
    });
  const close = async (): Promise<void> => {
    session.close();
    await app.close();
  };
  return { ask, close };
}
