import { types } from 'node:util';

/** Built-ins that keep what they hold to themselves (WeakRef, Headers, iterators, ...): they would silently become `{}`. */
export function isOpaque(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype !== null && prototype !== Object.prototype && Symbol.toStringTag in value;
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** The primitive within `new Number(1)`, `Object(1n)` and the like; works across realms. */
export function unbox(value: object): unknown {
  if (types.isNumberObject(value)) return Number.prototype.valueOf.call(value);
  if (types.isStringObject(value)) return String.prototype.valueOf.call(value);
  if (types.isBooleanObject(value)) return Boolean.prototype.valueOf.call(value);
  if (types.isBigIntObject(value)) return BigInt.prototype.valueOf.call(value);
  return Symbol.prototype.valueOf.call(value);
}
