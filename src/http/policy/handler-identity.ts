import 'reflect-metadata';
import type { Type } from '@nestjs/common';
import { PATH_METADATA, VERSION_METADATA } from '@nestjs/common/constants.js';
import type { KeyPart } from '../../core/cache.options.js';

type Handler = (...args: never[]) => unknown;

export interface HandlerIdentity {
  /** `BooksController.list`. */
  readonly name: string;
  /** The paths that its decorators declare, the controller's first. Undefined where there are no routes. */
  readonly route: string | undefined;
  /** Name, route and declared API versions: tells any two handlers apart, also two of one name. */
  readonly key: KeyPart;
}

const known = new WeakMap<Handler, WeakMap<Type, HandlerIdentity>>();

/** Computed once for a method of a class; an inherited method is another one in each class. */
export function handlerIdentity(controller: Type, handler: Handler): HandlerIdentity {
  let ofHandler = known.get(handler);
  if (ofHandler === undefined) known.set(handler, (ofHandler = new WeakMap()));
  let identity = ofHandler.get(controller);
  if (identity === undefined) ofHandler.set(controller, (identity = describe(controller, handler)));
  return identity;
}

function describe(controller: Type, handler: Handler): HandlerIdentity {
  const name = `${controller.name}.${propertyOf(controller, handler) ?? handler.name}`;
  const paths = [meta(PATH_METADATA, controller), meta(PATH_METADATA, handler)];
  const versions = [meta(VERSION_METADATA, controller), meta(VERSION_METADATA, handler)];
  const route = paths[1] === undefined ? undefined : paths.map(spelled).join('/').replaceAll(/\/+/g, '/');
  return { name, route, key: [name, paths.map(spelled), versions.map(spelled)] };
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

function meta(key: string, target: object): unknown {
  return Reflect.getMetadata(key, target) as unknown;
}

function spelled(value: unknown): string {
  return Array.isArray(value) ? value.map(String).join('|') : value === undefined ? '' : String(value);
}
