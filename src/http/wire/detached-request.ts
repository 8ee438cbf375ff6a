import { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { DetachedSocket, type DetachedPeer } from './detached-socket.js';
import { rawRequestOf } from './raw-exchange.js';

/** A request to be run again: without a body. */
export interface DetachedRequest extends DetachedPeer {
  readonly method: string;
  /** Path and query as the client sent them. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** Of the connection, or about a body that is not there. */
const NOT_REPEATED = new Set([
  'connection',
  'content-length',
  'content-type',
  'content-encoding',
  'expect',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * A copy of what came in, to be taken while the client is connected (its address is gone with its socket).
 *
 * @param request what Nest hands out, or Node's request.
 */
export function detachedRequestOf(request: unknown): DetachedRequest {
  const raw = rawRequestOf(request) as IncomingMessage & { originalUrl?: string };
  const socket = raw.socket as (Socket & { encrypted?: boolean }) | null;
  return {
    method: raw.method ?? 'GET',
    // Express takes the mount path off `url`.
    url: raw.originalUrl ?? raw.url ?? '/',
    headers: { ...raw.headers },
    remoteAddress: socket?.remoteAddress,
    remotePort: socket?.remotePort,
    encrypted: socket?.encrypted === true,
  };
}

/** A received request whose body is empty, as the parser of Node leaves it. */
export function incomingMessage(request: DetachedRequest): IncomingMessage {
  const message = new IncomingMessage(new DetachedSocket(request) as unknown as Socket);
  message.method = request.method;
  message.url = request.url;
  message.httpVersion = '1.1';
  message.httpVersionMajor = 1;
  message.httpVersionMinor = 1;
  for (const name of Object.keys(request.headers)) {
    const value = request.headers[name];
    if (value === undefined || NOT_REPEATED.has(name.toLowerCase())) continue;
    message.headers[name.toLowerCase()] = typeof value === 'string' ? value : [...value];
    for (const line of [value].flat()) message.rawHeaders.push(name, line);
  }
  message.complete = true;
  message.push(null);
  return message;
}
