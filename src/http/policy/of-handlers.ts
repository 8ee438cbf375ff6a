import type { Type } from '@nestjs/common';

export type Handler = (...args: never[]) => unknown;

/** One thing for each method of a class: an inherited method is another one in each class. */
export class OfHandlers<T extends object | false> {
  private readonly known = new WeakMap<Handler, WeakMap<Type, T>>();

  get(controller: Type, handler: Handler): T | undefined {
    return this.known.get(handler)?.get(controller);
  }

  set(controller: Type, handler: Handler, value: T): T {
    const ofClasses = this.known.get(handler);
    if (ofClasses === undefined) this.known.set(handler, new WeakMap([[controller, value]]));
    else ofClasses.set(controller, value);
    return value;
  }
}
