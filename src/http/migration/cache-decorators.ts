import { SetMetadata, type CustomDecorator, type ExecutionContext } from '@nestjs/common';

const KEY: unique symbol = Symbol('nestjs-tiered-cache:cache-key');
const TTL: unique symbol = Symbol('nestjs-tiered-cache:cache-ttl');

export type ValueOrFactory<T> = T | ((context: ExecutionContext) => T);

/**
 * As in @nestjs/cache-manager, for `CacheInterceptor`. A fixed key on a route with parameters makes one entry of all of them there; here it
 * is refused by what the handler reads: a response that depends on a parameter which no part of the key covers is not stored.
 */
export function CacheKey(key: ValueOrFactory<string>): CustomDecorator<typeof KEY> {
  return SetMetadata(KEY, key);
}

/** As in @nestjs/cache-manager, for `CacheInterceptor`: milliseconds. `0` stores nothing (there: for ever). */
export function CacheTTL(ttl: ValueOrFactory<number>): CustomDecorator<typeof TTL> {
  return SetMetadata(TTL, ttl);
}

type OfHandler = Pick<ExecutionContext, 'getClass' | 'getHandler'>;

/** The handler's, else its class's. */
export function keyOf(context: OfHandler): ValueOrFactory<string> | undefined {
  return metadata(KEY, context);
}

export function ttlOf(context: OfHandler): ValueOrFactory<number> | undefined {
  return metadata(TTL, context);
}

function metadata<T>(name: symbol, context: OfHandler): T | undefined {
  return (Reflect.getMetadata(name, context.getHandler()) ?? Reflect.getMetadata(name, context.getClass())) as
    T | undefined;
}
