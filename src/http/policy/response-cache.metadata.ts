import 'reflect-metadata';
import { SetMetadata } from '@nestjs/common';
import type { ExecutionContext, Type } from '@nestjs/common';
import type { CacheKind } from './compiled.policy.js';
import type { ResponseCachePolicy } from './response-cache.policy.js';

const RESPONSE_CACHE: unique symbol = Symbol('nestjs-tiered-cache:response-cache');

/** What a decorator says of a class or a handler; `false` for `@NoCache()`. */
export type CacheMark = { readonly kind: CacheKind; readonly policy: ResponseCachePolicy } | false;

export function markCached(mark: CacheMark): ClassDecorator & MethodDecorator {
  // Decorators apply from below: whichever comes first, a handler marked `@NoCache()` stays so.
  return ((target: object, key?: string | symbol, descriptor?: PropertyDescriptor) => {
    const marked = (descriptor?.value ?? target) as object;
    if (Reflect.getOwnMetadata(RESPONSE_CACHE, marked) === false) return descriptor ?? target;
    return (SetMetadata(RESPONSE_CACHE, mark) as (...args: unknown[]) => unknown)(target, key, descriptor);
  }) as ClassDecorator & MethodDecorator;
}

/** What the decorators of a class and of its handler say; inherited ones count. */
export function cacheMarks(
  controller: Type,
  handler: (...args: never[]) => unknown,
): { readonly ofClass: CacheMark | undefined; readonly ofHandler: CacheMark | undefined } {
  return {
    ofClass: Reflect.getMetadata(RESPONSE_CACHE, controller) as CacheMark | undefined,
    ofHandler: Reflect.getMetadata(RESPONSE_CACHE, handler) as CacheMark | undefined,
  };
}

const CLAIMED = Symbol('nestjs-tiered-cache:claimed');

/**
 * `true` for the first interceptor of a call that asks: the one registered outermost. A global, a controller's and a handler's registration
 * of the same interceptor are one.
 */
export function claimCall(context: ExecutionContext): boolean {
  const call = context as ExecutionContext & { [CLAIMED]?: true };
  if (call[CLAIMED] === true) return false;
  call[CLAIMED] = true;
  return true;
}
