import type { Type } from '@nestjs/common';
import type { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { CACHE_LOCK, cacheLockOf } from './cache-lock.metadata.js';
import type { CacheLockPlan } from './cache-lock.options.js';

export type Handler = (...args: never[]) => unknown;

export interface LockedHandler {
  readonly type: Type;
  readonly name: string;
  readonly handler: Handler;
  readonly plan: CacheLockPlan;
  /** Its class carries a decorator, and not each of its methods need be called by Nest. */
  readonly isByClass: boolean;
}

/**
 * The methods of an application with a `@CacheLock()`, their own or their class'.
 * @throws CacheUsageError `invalid_option` for one without a key
 */
export function* lockedHandlers(
  discovery: Pick<DiscoveryService, 'getControllers' | 'getProviders'>,
  scanner: Pick<MetadataScanner, 'getAllMethodNames'>,
): Generator<LockedHandler> {
  const seen = new Set<unknown>();
  for (const { metatype } of [...discovery.getControllers(), ...discovery.getProviders()]) {
    if (typeof metatype !== 'function' || !metatype.prototype || seen.has(metatype)) continue;
    seen.add(metatype);
    const prototype = metatype.prototype as Record<string, Handler>;
    for (const name of scanner.getAllMethodNames(prototype)) {
      const handler = prototype[name];
      if (typeof handler !== 'function') continue;
      const isByClass = Reflect.hasMetadata(CACHE_LOCK, metatype);
      if (!isByClass && !Reflect.hasMetadata(CACHE_LOCK, handler)) continue;
      const plan = cacheLockOf(metatype as Type, handler);
      if (plan) yield { type: metatype as Type, name, handler, plan, isByClass };
    }
  }
}
