/**
 * Freezes plain objects and arrays, all the way down, and returns the same value. Other objects (Date, Map, Buffer, instances) are left
 * as they are, with all they hold: freezing does not protect them. Neither depth nor cycles matter.
 */
export function deepFreeze<T>(value: T): T {
  if (!isFreezable(value)) return value;
  const pending: object[] = [value];
  let frozenBefore: Set<object> | undefined;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (Object.isFrozen(next)) {
      // By the caller (then what it holds may not be), or by us on the way round a cycle.
      frozenBefore ??= new Set();
      if (frozenBefore.has(next)) continue;
      frozenBefore.add(next);
    } else {
      Object.freeze(next);
    }
    if (Array.isArray(next)) {
      for (let i = 0; i < next.length; i++) {
        const item: unknown = next[i];
        if (isFreezable(item)) pending.push(item);
      }
    } else {
      for (const key of Object.keys(next)) {
        const item = (next as Record<string, unknown>)[key];
        if (isFreezable(item)) pending.push(item);
      }
    }
  }
  return value;
}

function isFreezable(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
