import 'reflect-metadata';
import { Logger, type Type } from '@nestjs/common';
import { GUARDS_METADATA, INTERCEPTORS_METADATA } from '@nestjs/common/constants.js';
import type { ApplicationConfig, DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import { GuardAnswer } from './guard-answer.js';
import type { Handler } from './policy/of-handlers.js';
import { isRead } from './policy/read-routes.js';
import { writesResponse } from './policy/writes-response.js';
import { ResponseCacheGuard } from './response-cache.guard.js';
import { ResponseCacheInterceptor } from './response-cache.interceptor.js';
import type { ResponseCaches } from './response-caches.js';

type Config = Pick<ApplicationConfig, 'getGlobalInterceptors' | 'getGlobalRequestInterceptors'>;
/** As `@UseInterceptors()` takes it, or what Nest keeps of a global one that is made for each request. */
type Entry = Type | object;

const logger = new Logger('ResponseCache');

/**
 * Puts a {@link ResponseCacheGuard} after all guards of each handler whose pages are cached. To be called when all global interceptors are known,
 * and before routes are made.
 * @param answers whether it may send hits, where no interceptor stands outside of the cache's
 * @throws CacheUsageError whatever compiling a policy throws
 */
export function placeGuards(
  discovery: Pick<DiscoveryService, 'getControllers'>,
  scanner: Pick<MetadataScanner, 'getAllMethodNames'>,
  config: Config,
  caches: ResponseCaches,
  answers: boolean,
): void {
  const guard = new ResponseCacheGuard(caches);
  const globals: Entry[] = [...config.getGlobalInterceptors(), ...config.getGlobalRequestInterceptors()];
  for (const wrapper of discovery.getControllers()) {
    const { metatype } = wrapper;
    if (typeof metatype !== 'function') continue;
    const prototype = metatype.prototype as Record<string, Handler>;
    for (const name of scanner.getAllMethodNames(prototype)) {
      const handler = prototype[name];
      if (handler === undefined || !isRead(handler)) continue;
      const entries = [...globals, ...interceptorsOf(metatype), ...interceptorsOf(handler)];
      const at = entries.findIndex(isOurs);
      if (at < 0 || (at === 0 && !answers)) continue;
      const interceptor = instanceOf(entries[at] as Entry, wrapper);
      // Replaced, in a test.
      if (interceptor !== undefined && !(interceptor instanceof ResponseCacheInterceptor)) continue;
      const call = { getClass: () => metatype as never, getHandler: () => handler, getType: () => 'http' as never };
      const policy = interceptor?.policyOf(call);
      if (interceptor && policy?.kind !== 'page') continue;
      if (at === 0) {
        if (!interceptor || !policy || !isWhole(interceptor) || writesResponse(metatype as Type, handler)) continue;
        caches.answeredInGuard.set(metatype as Type, handler, new GuardAnswer(caches, policy, handler));
      } else {
        if (!interceptor) warnOfLoss(metatype, name);
        caches.behindOthers.set(metatype as Type, handler, interceptor ?? false);
      }
      placeLast(handler);
      provide(guard, wrapper);
    }
  }
}

function warnOfLoss({ name }: { readonly name: string }, method: string): void {
  logger.warn(
    `${name}.${method} is not cached: its cache interceptor is made for each request, and has other interceptors outside of it; register it first, or make it a singleton`,
  );
}

/** Handlers are shared: by classes that inherit them, by applications in one process. */
function placeLast(handler: Handler): void {
  const guards = (Reflect.getMetadata(GUARDS_METADATA, handler) ?? []) as unknown[];
  const others = guards.filter((guard) => guard !== ResponseCacheGuard);
  Reflect.defineMetadata(GUARDS_METADATA, [...others, ResponseCacheGuard], handler);
}

/** Where Nest looks for the instance of a guard: with the module of its controller. */
function provide(guard: ResponseCacheGuard, { host }: InstanceWrapper): void {
  const provided = host?.addInjectable(ResponseCacheGuard, 'guard') as InstanceWrapper<ResponseCacheGuard> | undefined;
  if (provided) provided.instance = guard;
}

function interceptorsOf(target: object): Entry[] {
  return (Reflect.getMetadata(INTERCEPTORS_METADATA, target) ?? []) as Entry[];
}

function classOf(entry: Entry): unknown {
  if (typeof entry === 'function') return entry;
  return isWrapper(entry) ? entry.metatype : entry.constructor;
}

/** A subclass with an `intercept` of its own is to see hits, too. */
function isWhole({ intercept }: ResponseCacheInterceptor): boolean {
  return intercept === ResponseCacheInterceptor.prototype.intercept;
}

function isOurs(entry: Entry): boolean {
  const type = classOf(entry);
  return (
    typeof type === 'function' &&
    (type === ResponseCacheInterceptor || type.prototype instanceof ResponseCacheInterceptor)
  );
}

function instanceOf(entry: Entry, { host }: InstanceWrapper): object | undefined {
  if (entry instanceof ResponseCacheInterceptor) return entry;
  const wrapper =
    typeof entry === 'function' ? host?.injectables.get(entry as Type) : isWrapper(entry) ? entry : undefined;
  return wrapper?.isDependencyTreeStatic() ? (wrapper.instance as object) : undefined;
}

function isWrapper(entry: Entry): entry is InstanceWrapper {
  return typeof (entry as Partial<InstanceWrapper>).isDependencyTreeStatic === 'function';
}
