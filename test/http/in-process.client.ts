import { ServerResponse } from 'node:http';
import type { INestApplication } from '@nestjs/common';
import { incomingMessage } from '../../src/http/wire/detached-request.js';
import { headerFields } from '../../src/http/wire/header-fields.js';
import { parseWriteHead } from '../../src/http/wire/written-head.js';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: string;
}

/** A request without a socket, through everything that a server's own request goes through: a tenth of the time. */
export function dispatch(
  app: INestApplication,
  method: string,
  url: string,
  headers: Record<string, string>,
): Promise<Reply> {
  const request = incomingMessage({
    method,
    url,
    headers,
    remoteAddress: '127.0.0.1',
    remotePort: 1,
    encrypted: false,
  });
  const response = new ServerResponse(request);
  const chunks: Buffer[] = [];
  // What the application puts on the response wraps these.
  const { write, end, writeHead } = response;
  let written: Record<string, string | readonly string[]> = {};
  response.writeHead = ((...args: unknown[]) => {
    written = headerFields(Object.fromEntries(parseWriteHead(args)?.fields ?? []));
    return Reflect.apply(writeHead, response, args) as ServerResponse;
  }) as typeof writeHead;
  const keep = (chunk: unknown, encoding: unknown): void => {
    if (typeof chunk === 'string')
      chunks.push(Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : undefined));
    else if (chunk instanceof Uint8Array) chunks.push(Buffer.from(chunk));
  };
  response.write = ((...args: unknown[]) => (
    keep(args[0], args[1]),
    Reflect.apply(write, response, args) as boolean
  )) as typeof write;
  response.end = ((...args: unknown[]) => (
    keep(args[0], args[1]),
    Reflect.apply(end, response, args) as ServerResponse
  )) as typeof end;
  response.assignSocket(request.socket);
  return new Promise((resolve) => {
    response.once('finish', () => {
      response.detachSocket(request.socket);
      resolve({
        status: response.statusCode,
        headers: { ...headerFields(response.getHeaders() as Record<string, string>), ...written },
        body: method === 'HEAD' ? '' : Buffer.concat(chunks).toString(),
      });
      process.nextTick(() => {
        response.destroyed = true;
        response.emit('close');
        request.socket.destroy();
      });
    });
    (app.getHttpServer() as NodeJS.EventEmitter).emit('request', request, response);
  });
}
