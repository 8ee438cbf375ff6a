import { IncomingMessage, ServerResponse } from 'node:http';
import { Http2ServerRequest, type ServerHttp2Stream } from 'node:http2';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { REQUEST_CONTEXT_ID } from '@nestjs/core/router/request/request-constants.js';
import { FRAMEWORK_PROPERTIES, OWN_PROPERTIES } from './input-lists.js';

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

/** What Node's requests, and those of the frameworks, have of their own; the rest of {@link OURS} is their classes'. */
const OWN: ReadonlySet<PropertyKey> = new Set<PropertyKey>([
  ...nodesRequests().flatMap(Reflect.ownKeys),
  ...OWN_PROPERTIES,
]);

/** What some requests of Node have. On another one, or on Fastify's, somebody else has put them there, or nobody. */
const OF_SOME: ReadonlySet<PropertyKey> = new Set(['authority', 'client', 'connection', 'scheme', 'stream']);

const ofPrototypes = new WeakMap<object, readonly PropertyKey[]>();

/** Whether somebody other than Node and the frameworks has given a property its name: it may say who asks. */
export function isForeign(name: PropertyKey): boolean {
  if (OURS.has(name)) return false;
  return typeof name === 'symbol' ? !OUR_SYMBOLS.test(name.description ?? '') : !(name in ServerResponse.prototype);
}

/** Whether what is not there may be there for another request, by whoever has named it. */
export function isForeignIfAbsent(name: PropertyKey): boolean {
  return OF_SOME.has(name) || isForeign(name);
}

/** Foreign properties that a request has: its own ones, be they under a name of its class, and those that a plugin has given to that. */
export function foreignProperties(request: object): PropertyKey[] {
  const inherited = ofPrototype(Object.getPrototypeOf(request) as object);
  return [...new Set([...Reflect.ownKeys(request).filter(isPutOn), ...inherited])];
}

/** Of the properties that are a request's own. */
function isPutOn(name: PropertyKey): boolean {
  return isForeign(name) || (typeof name === 'string' && !OWN.has(name) && !(name in ServerResponse.prototype));
}

function ofPrototype(prototype: object): readonly PropertyKey[] {
  let names = ofPrototypes.get(prototype);
  if (names === undefined) ofPrototypes.set(prototype, (names = keysOf(prototype).filter(isForeign)));
  return names;
}

function nodesOwn(): PropertyKey[] {
  // Of any stream Node asks what only some are.
  return [...nodesRequests(), new Duplex()].flatMap(keysOf);
}

function nodesRequests(): object[] {
  const message = new IncomingMessage(undefined as unknown as Socket);
  const stream = new EventEmitter() as unknown as ServerHttp2Stream;
  // Some of the state is there only once it was asked for.
  for (const name of ['headers', 'headersDistinct', 'trailers', 'trailersDistinct', 'signal'])
    Reflect.get(message, name);
  return [message, new Http2ServerRequest(stream, {}, {} as never, [])];
}

function keysOf(object: object): PropertyKey[] {
  const keys: PropertyKey[] = [];
  for (let at: object | null = object; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at) as object)
    keys.push(...Reflect.ownKeys(at));
  return keys;
}
