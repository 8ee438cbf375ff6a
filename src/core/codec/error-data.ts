import { types } from 'node:util';

/** Only these become themselves again; any other name is kept on a plain Error. Never a look-up among globals. */
const CONSTRUCTORS = new Map<string, new (message: string, options?: ErrorOptions) => Error>(
  Object.entries({ Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError }),
);

/** Name, message and (if there is one) cause. The stack stays behind: it tells of the writing process. */
export type ErrorData = [name: string, message: string] | [name: string, message: string, cause: unknown];

export function isError(value: object): value is Error {
  return types.isNativeError(value) || value instanceof Error;
}

export function readError(error: Error): ErrorData {
  const data: ErrorData = [String(error.name), String(error.message)];
  return Object.hasOwn(error, 'cause') ? [...data, error.cause] : data;
}

/** @throws TypeError when `data` is not what {@link readError} gives */
export function createError(data: readonly unknown[]): Error {
  const [name, message] = data;
  if (typeof name !== 'string' || typeof message !== 'string') throw new TypeError('malformed error data');
  const Constructor = CONSTRUCTORS.get(name);
  const error = new (Constructor ?? Error)(message, data.length > 2 ? { cause: data[2] } : undefined);
  if (!Constructor) define(error, 'name', name);
  define(error, 'stack', message === '' ? name : `${name}: ${message}`);
  return error;
}

function define(error: Error, key: 'name' | 'stack', value: string): void {
  Object.defineProperty(error, key, { value, writable: true, configurable: true, enumerable: false });
}
