import 'reflect-metadata';
import { Controller, Get, StreamableFile, UseInterceptors } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { connect, type IncomingHttpHeaders } from 'node:http2';
import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { Wire, WireInterceptor } from './wire.application.js';

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
  await app.listen(0, '127.0.0.1');
  const { port } = (app.getHttpServer() as { address(): { port: number } }).address();
  const session = connect(`http://127.0.0.1:${port}`);
  const ask = (path: string) =>
    new Promise<{ headers: IncomingHttpHeaders; body: string }>((resolve, reject) => {
      const stream = session.request({ ':path': path });
      let headers: IncomingHttpHeaders = {};
      const chunks: Buffer[] = [];
      stream.on('response', (received) => (headers = received));
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => resolve({ headers, body: Buffer.concat(chunks).toString() }));
      stream.on('error', reject);
      stream.end();
    });
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
    session.close();
    await app.close();
  }
});
