import 'reflect-metadata';
import { createHash } from 'node:crypto';
import type { Type } from '@nestjs/common';
import { PATH_METADATA, VERSION_METADATA } from '@nestjs/common/constants.js';
import { OfHandlers, type Handler } from './of-handlers.js';

export interface HandlerIdentity {
  /** `BooksController.list`. */
  readonly name: string;
  /** The paths that its decorators declare, the controller's first. Undefined where there are no routes. */
  readonly route: string | undefined;
  /** The API versions that its decorators declare; empty where none are. */
  readonly versions: string;
  /** Its name, and a hash of name, route and declared API versions, which tells apart also two handlers of one name. */
  readonly key: string;
}

/** 96 bits: enough for the handlers of an application. */
const HASH_LENGTH = 16;

/** Where @nestjs/websockets and @nestjs/microservices, which need not be there, keep what a handler listens to. */
const GATEWAY_OPTIONS = 'websockets:gateway_options';
const PATTERNS = ['message', 'microservices:pattern', 'microservices:transport'];

const known = new OfHandlers<HandlerIdentity>();

/** Computed once for a method of a class; an inherited method is another one in each class. */
export function handlerIdentity(controller: Type, handler: Handler): HandlerIdentity {
  return known.get(controller, handler) ?? known.set(controller, handler, describe(controller, handler));
}

function describe(controller: Type, handler: Handler): HandlerIdentity {
  const name = `${controller.name}.${propertyOf(controller, handler) ?? handler.name}`;
  const paths = [meta(PATH_METADATA, controller), meta(PATH_METADATA, handler)];
  const versions = [meta(VERSION_METADATA, controller), meta(VERSION_METADATA, handler)].map(spelled);
  const route = paths[1] === undefined ? undefined : paths.map(spelled).join('/').replaceAll(/\/+/g, '/');
  const declared = JSON.stringify([name, paths.map(spelled), versions, ...messagesOf(controller, handler)]);
  const hash = createHash('sha256').update(declared).digest('base64url').slice(0, HASH_LENGTH);
  return { name, route, versions: versions.some(Boolean) ? versions.join('/') : '', key: `${name}:${hash}` };
}

/** Decorators that wrap a method may leave it without its name. */
function propertyOf(controller: Type, handler: Handler): string | undefined {
  for (
    let at = controller.prototype as object | null;
    at !== null && at !== Object.prototype;
    at = Object.getPrototypeOf(at) as object | null
  ) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at)))
      if (value === handler) return name;
  }
  return undefined;
}

/** What a handler of messages listens to: texts, or objects. */
function messagesOf(controller: Type, handler: Handler): unknown[] {
  const patterns = PATTERNS.map((key) => meta(key, handler));
  if (patterns.every((pattern) => pattern === undefined)) return [];
  const { namespace } = (meta(GATEWAY_OPTIONS, controller) ?? {}) as { namespace?: unknown };
  return [patterns, spelled(namespace)];
}

function meta(key: string, target: object): unknown {
  return Reflect.getMetadata(key, target) as unknown;
}

function spelled(value: unknown): string {
  return Array.isArray(value) ? value.map(String).join('|') : value === undefined ? '' : String(value);
}
