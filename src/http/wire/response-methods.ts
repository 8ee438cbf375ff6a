import type { ServerResponse } from 'node:http';

type AnyFunction = (...args: unknown[]) => unknown;

const NAMES = ['writeHead', 'write', 'end', 'flushHeaders', 'addTrailers', 'destroy'] as const;

export type MethodName = (typeof NAMES)[number];

/** The methods of a raw response as they were before they were tapped: whatever wrapped them earlier stays between us and the wire. */
export class ResponseMethods {
  private readonly inner: Readonly<Record<MethodName, AnyFunction>>;

  constructor(readonly response: ServerResponse) {
    this.inner = Object.fromEntries(NAMES.map((name) => [name, this.wrapped[name]])) as Record<MethodName, AnyFunction>;
  }

  call(name: MethodName, args: readonly unknown[]): unknown {
    return Reflect.apply(this.inner[name], this.response, args);
  }

  /** From now on the application calls these. */
  replace(by: Readonly<Record<MethodName, (args: readonly unknown[]) => unknown>>): void {
    for (const name of NAMES) this.wrapped[name] = (...args) => by[name](args);
  }

  /** Node (or somebody who holds an earlier `end`) may write the head without coming by any of them. */
  watchImplicitHeader(before: () => void): void {
    const implicit = this.wrapped['_implicitHeader'];
    if (!implicit) return;
    this.wrapped['_implicitHeader'] = () => {
      before();
      return this.isHeadSent() ? undefined : Reflect.apply(implicit, this.response, []);
    };
  }

  /** The application must see what it would see without a tap: a head that it has written counts as sent. */
  shadowHeadersSent(isTaken: () => boolean): void {
    if (Object.hasOwn(this.response, 'headersSent')) return;
    Object.defineProperty(this.response, 'headersSent', {
      configurable: true,
      enumerable: true,
      get: () => isTaken() || this.isHeadSent(),
    });
  }

  /** On the wire, whatever the application is told. */
  isHeadSent(): boolean {
    return Reflect.get(Object.getPrototypeOf(this.response) as object, 'headersSent', this.response) as boolean;
  }

  private get wrapped(): Record<string, AnyFunction> {
    return this.response as unknown as Record<string, AnyFunction>;
  }
}
