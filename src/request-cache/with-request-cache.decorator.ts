import 'reflect-metadata';
import { isObservable, Observable } from 'rxjs';
import { injectProperty } from '../method-decorator.js';
import { replaceMethod, type Method } from '../replace-method.js';
import { RequestCacheService } from './request-cache.service.js';

const SERVICE: unique symbol = Symbol('nestjs-tiered-cache:request-cache');

interface Host {
  readonly [SERVICE]?: RequestCacheService;
}

/**
 * Gives each call of a provider's method a request tier: for `@Cron`, `@OnEvent`, queue consumers, message handlers, gateways. A call that
 * is already part of a request (or of a scope) shares that one. An Observable has a scope for as long as it is subscribed to. On an object that Nest
 * did not make, the method just runs.
 * @example
 * @Cron('0 * * * *')
 * @WithRequestCache()
 * async refresh() {}
 */
export function WithRequestCache(): MethodDecorator {
  return (target, property, descriptor: PropertyDescriptor) => {
    const original = descriptor.value as Method | undefined;
    if (typeof original !== 'function')
      throw new TypeError(`@WithRequestCache() is for methods; ${String(property)} is none`);
    injectProperty(target, SERVICE, RequestCacheService);
    const wrapped = function (this: Host, ...args: unknown[]): unknown {
      const service = this[SERVICE];
      // None where Nest did not make the object; a substitute where a test puts one in the place of everything.
      if (!(service instanceof RequestCacheService) || service.isActive) return original.apply(this, args);
      const returned = service.runInCacheScope(() => original.apply(this, args));
      return isObservable(returned) ? withScope(returned, service) : returned;
    };
    replaceMethod(descriptor, wrapped);
  };
}

/** What it does it does when it is subscribed to. */
function withScope(source: Observable<unknown>, service: RequestCacheService): Observable<unknown> {
  return new Observable((subscriber) => {
    const ended = (): Promise<void> =>
      new Promise((resolve) => {
        subscriber.add(resolve);
        source.subscribe(subscriber);
      });
    void service.runInCacheScope(ended);
  });
}
