import 'reflect-metadata';
import { Inject, type Type } from '@nestjs/common';
import { Observable } from 'rxjs';

/** What methods may return that are decorated by us: what is to be done afterwards takes time. */
export type AsyncReturn<T = unknown> = Promise<T> | Observable<T>;

/** Functions of a decorator's options are called with what the method is called with. */
export type Takes<A extends unknown[], M extends (...args: never[]) => unknown, Problem extends string> = ((
  ...args: A
) => void) extends (...args: Parameters<M>) => void
  ? unknown
  : { readonly [P in Problem]: never };

/**
 * Has Nest put a provider on every object of a class, at a symbol. By property injection, never through a global: each application's
 * objects get that application's provider, and those that Nest did not make get none.
 */
export function injectProperty(target: object, slot: symbol, provider: Type): void {
  if (Object.hasOwn(target, slot)) return;
  Object.defineProperty(target, slot, { value: undefined, writable: true, enumerable: false });
  Inject(provider)(target, slot);
}

/** Whether a method is declared to return an Observable: that has to be known before it is called. */
export function returnsObservable(
  target: object,
  property: string | symbol,
  returns: 'promise' | 'observable' | undefined,
): boolean {
  if (returns !== undefined) return returns === 'observable';
  const type: unknown = Reflect.getMetadata('design:returntype', target, property);
  if (typeof type !== 'function') return false;
  const prototype: unknown = type.prototype;
  return type === Observable || prototype instanceof Observable;
}
