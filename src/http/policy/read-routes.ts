import 'reflect-metadata';
import { RequestMethod, type Type } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import type { DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { Handler } from './of-handlers.js';

/** A handler that answers GET. */
export interface ReadRoute {
  readonly controller: Type;
  readonly name: string;
  readonly handler: Handler;
}

/** All handlers of an application that answer GET. */
export function* readRoutes(
  discovery: Pick<DiscoveryService, 'getControllers'>,
  scanner: Pick<MetadataScanner, 'getAllMethodNames'>,
): Generator<ReadRoute> {
  for (const { metatype } of discovery.getControllers()) {
    if (typeof metatype !== 'function') continue;
    const prototype = metatype.prototype as Record<string, Handler>;
    for (const name of scanner.getAllMethodNames(prototype)) {
      const handler = prototype[name];
      if (handler !== undefined && isRead(handler)) yield { controller: metatype as Type, name, handler };
    }
  }
}

/** Whether a handler answers GET. */
export function isRead(handler: Handler): boolean {
  if (Reflect.getMetadata(PATH_METADATA, handler) === undefined) return false;
  const method = Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod | undefined;
  return method === RequestMethod.GET || method === RequestMethod.HEAD || method === RequestMethod.ALL;
}
