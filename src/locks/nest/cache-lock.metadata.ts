import 'reflect-metadata';
import type { ExecutionContext, Type } from '@nestjs/common';
import { mergeCacheLocks, type CacheLockOptions, type CacheLockPlan } from './cache-lock.options.js';

export const CACHE_LOCK: unique symbol = Symbol('nestjs-tiered-cache:cache-lock');

type Handler = (...args: never[]) => unknown;

const known = new WeakMap<Handler, WeakMap<Type, { readonly plan: CacheLockPlan | undefined }>>();

/** What the decorators of a class and of its handler say together; inherited ones count. `undefined`: there is none. */
export function cacheLockOf(controller: Type, handler: Handler): CacheLockPlan | undefined {
  let ofHandler = known.get(handler);
  if (ofHandler === undefined) known.set(handler, (ofHandler = new WeakMap()));
  let found = ofHandler.get(controller);
  if (found === undefined) {
    const marks = [controller, handler].map((marked) => Reflect.getMetadata(CACHE_LOCK, marked) as CacheLockOptions);
    ofHandler.set(controller, (found = { plan: mergeCacheLocks(marks[0], marks[1]) }));
  }
  return found.plan;
}

export function cacheLockOfCall(context: ExecutionContext): CacheLockPlan | undefined {
  return cacheLockOf(context.getClass(), context.getHandler() as Handler);
}
