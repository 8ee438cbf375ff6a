import 'reflect-metadata';
import type { Type } from '@nestjs/common';
import { PATH_METADATA } from '@nestjs/common/constants.js';
import type { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { CACHE_LOCK, cacheLockOf } from './cache-lock.metadata.js';
import type { CacheLockPlan } from './cache-lock.options.js';

export type Handler = (...args: never[]) => unknown;
type Discovery = Pick<DiscoveryService, 'getControllers' | 'getProviders'>;
type Scanner = Pick<MetadataScanner, 'getAllMethodNames'>;

export interface MarkedHandler {
  readonly type: Type;
  readonly name: string;
  readonly handler: Handler;
  /** Its class carries the decorator, and not each of its methods need be called by Nest. */
  readonly isByClass: boolean;
}

export interface LockedHandler extends MarkedHandler {
  readonly plan: CacheLockPlan;
}

/** The methods of an application that carry a decorator, their own or their class'. */
export function* markedHandlers(mark: symbol, discovery: Discovery, scanner: Scanner): Generator<MarkedHandler> {
  const seen = new Set<unknown>();
  for (const { metatype } of [...discovery.getControllers(), ...discovery.getProviders()]) {
    if (typeof metatype !== 'function' || !metatype.prototype || seen.has(metatype)) continue;
    seen.add(metatype);
    const prototype = metatype.prototype as Record<string, Handler>;
    for (const name of scanner.getAllMethodNames(prototype)) {
      const handler = prototype[name];
      if (typeof handler !== 'function') continue;
      const isByClass = Reflect.hasMetadata(mark, metatype);
      if (isByClass || Reflect.hasMetadata(mark, handler)) yield { type: metatype as Type, name, handler, isByClass };
    }
  }
}

/** Those with a `@CacheLock()`. @throws CacheUsageError `invalid_option` for one without a key */
export function* lockedHandlers(discovery: Discovery, scanner: Scanner): Generator<LockedHandler> {
  for (const marked of markedHandlers(CACHE_LOCK, discovery, scanner)) {
    const plan = cacheLockOf(marked.type, marked.handler);
    if (plan) yield { ...marked, plan };
  }
}

export function isRoute(handler: object): boolean {
  return Reflect.hasMetadata(PATH_METADATA, handler);
}
