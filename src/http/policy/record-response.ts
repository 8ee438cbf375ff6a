import { EventEmitter } from 'node:events';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Http2ServerResponse, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { rawResponseOf } from '../wire/raw-exchange.js';
import { isForeignIfAbsent } from './foreign-properties.js';
import type { InputName } from './input-name.js';
import type { PatchedRequest } from './patched-request.js';
import { recordedBag } from './recorded-bag.js';
import { recordedSocket } from './recorded-socket.js';

/** What responses have of their own, by Node and the frameworks. */
const OWN: ReadonlySet<string> = new Set([
  ...Object.keys(new ServerResponse(new IncomingMessage(undefined as unknown as Socket))),
  ...Object.keys(new Http2ServerResponse(new EventEmitter() as unknown as ServerHttp2Stream)),
  // By Node's server.
  '_maxRequestsPerSocket',
  // Fastify's.
  'request',
]);

/** What whoever writes to a stream asks of any, what templates ask of Fastify's replies, and what tells these from others. */
const ASKED = /^(?:_|locals$|(?:hijack|(?:read|writ)ableErrored|pipeThrough|getReader|getWriter|cancel|abort)$)/;

/**
 * Watches what middleware and guards have hung on a response, `res.locals` among it, and its connection. Fields that they have set may be read:
 * everybody does, to know what is missing.
 */
export function recordResponse(patched: PatchedRequest, response: object, note: (name: InputName) => void): void {
  const raw = rawResponseOf(response);
  for (const target of new Set([response, raw])) {
    for (const name of Object.keys(target)) {
      const isShownAs = name === 'locals' && fieldsOf(target, name);
      if (isShownAs) {
        const recorded = recordedBag(isShownAs, (field) => note(`request:res.locals.${field}`));
        patched.replace(target, name, () => recorded);
      } else if (!OWN.has(name) && isForeign(name)) patched.watch(target, name, () => note(`request:res.${name}`));
    }
    patched.watchAbsent(target, (name) => {
      if (typeof name === 'string' && !ASKED.test(name) && isForeign(name)) note(`request:res.${name}`);
    });
  }
  if (raw instanceof Http2ServerResponse) {
    for (const name of ['stream', 'socket', 'connection']) patched.watch(raw, name, () => note(`request:res.${name}`));
  } else patched.show(raw, 'socket', (socket) => (socket ? recordedSocket(patched, socket, note) : socket));
}

function isForeign(name: string): boolean {
  return isForeignIfAbsent(name) && !(name in Http2ServerResponse.prototype);
}

function fieldsOf(target: object, name: string): object | undefined {
  const fields = Reflect.get(target, name) as unknown;
  return typeof fields === 'object' && fields !== null ? fields : undefined;
}
