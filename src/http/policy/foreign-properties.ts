import { IncomingMessage, ServerResponse } from 'node:http';
import { Http2ServerRequest, type ServerHttp2Stream } from 'node:http2';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { REQUEST_CONTEXT_ID } from '@nestjs/core/router/request/request-constants.js';
import { FRAMEWORK_PROPERTIES } from './input-lists.js';

/** What every request has: Node's, its state included, and what the frameworks put there. */
const OURS: ReadonlySet<PropertyKey> = new Set<PropertyKey>([
  ...nodesOwn(),
  ...FRAMEWORK_PROPERTIES,
  ...Object.getOwnPropertyNames(Symbol).map((name) => Reflect.get(Symbol, name) as PropertyKey),
  // Looked for in every request, in providers that are made for one.
  REQUEST_CONTEXT_ID,
]);

/** Fastify's state, Node's marks on streams, and our own. */
const OUR_SYMBOLS = /^(?:fastify\.|nodejs\.|nestjs-tiered-cache:)/;

const ofPrototypes = new WeakMap<object, readonly PropertyKey[]>();

/** Whether somebody other than Node and the frameworks has given a property its name: it may say who asks. */
export function isForeign(name: PropertyKey): boolean {
  if (OURS.has(name)) return false;
  return typeof name === 'symbol' ? !OUR_SYMBOLS.test(name.description ?? '') : !(name in ServerResponse.prototype);
}

/** Foreign properties that a request has: its own ones, and those that a plugin has given to its class. */
export function foreignProperties(request: object): PropertyKey[] {
  const inherited = ofPrototype(Object.getPrototypeOf(request) as object);
  return [...new Set([...Reflect.ownKeys(request).filter(isForeign), ...inherited])];
}

function ofPrototype(prototype: object): readonly PropertyKey[] {
  let names = ofPrototypes.get(prototype);
  if (names === undefined) ofPrototypes.set(prototype, (names = keysOf(prototype).filter(isForeign)));
  return names;
}

function nodesOwn(): PropertyKey[] {
  const message = new IncomingMessage(undefined as unknown as Socket);
  const stream = new EventEmitter() as unknown as ServerHttp2Stream;
  // Of any stream Node asks what only some are.
  const requests = [message, new Http2ServerRequest(stream, {}, {} as never, []), new Duplex()];
  // Some of the state is there only once it was asked for.
  for (const name of ['headers', 'headersDistinct', 'trailers', 'trailersDistinct', 'signal'])
    Reflect.get(message, name);
  return requests.flatMap(keysOf);
}

function keysOf(object: object): PropertyKey[] {
  const keys: PropertyKey[] = [];
  for (let at: object | null = object; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at) as object)
    keys.push(...Reflect.ownKeys(at));
  return keys;
}
