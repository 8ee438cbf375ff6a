import { types } from 'node:util';

const MAX_DEPTH = 3;
/** Of a list, or of an object: its first ones stand for the others. */
const MAX_ITEMS = 5;

/**
 * The class of an object in a value, of which the cache keeps the fields only: not what makes up data, and none that says by `toJSON()` how it is
 * written. `undefined`: there is none, as far as it is looked at.
 */
export function classInside(value: unknown, depth = 0): string | undefined {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return undefined;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === Array.prototype || prototype === null) {
    for (const item of Object.values(value).slice(0, MAX_ITEMS)) {
      const found = classInside(item, depth + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (isData(value) || typeof (value as { toJSON?: unknown }).toJSON === 'function') return undefined;
  return value.constructor?.name;
}

function isData(value: object): boolean {
  if (value instanceof URL || ArrayBuffer.isView(value)) return true;
  return [types.isDate, types.isMap, types.isSet, types.isRegExp, types.isNativeError, types.isBoxedPrimitive].some(
    (is) => is(value),
  );
}
