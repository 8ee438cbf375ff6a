import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum.js';
import { RESPONSE_PASSTHROUGH_METADATA, ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import type { Type } from '@nestjs/common';
import { handlerIdentity } from './handler-identity.js';

/** `@Res()` and `@Next()` in the metadata of a route's parameters. */
const TAKEN = new Set([String(RouteParamtypes.RESPONSE), String(RouteParamtypes.NEXT)]);

const known = new WeakMap<object, boolean>();

/**
 * Whether a handler answers by itself, through `@Res()` without `passthrough` or `@Next()`: Nest sends nothing for it, so there is no
 * place where a stored response could be sent instead.
 */
export function writesResponse(controller: Type, handler: (...args: never[]) => unknown): boolean {
  let writes = known.get(handler);
  if (writes === undefined) known.set(handler, (writes = find(controller, handler)));
  return writes;
}

function find(controller: Type, handler: (...args: never[]) => unknown): boolean {
  const { name } = handlerIdentity(controller, handler);
  const method = name.slice(name.lastIndexOf('.') + 1);
  const parameters = (Reflect.getMetadata(ROUTE_ARGS_METADATA, controller, method) ?? {}) as Record<string, unknown>;
  const isTaken = Object.keys(parameters).some((key) => TAKEN.has(key.split(':')[0] as string));
  return isTaken && Reflect.getMetadata(RESPONSE_PASSTHROUGH_METADATA, controller, method) !== true;
}
