import { MAX_DEPTH } from './side-table.js';

/**
 * Whether JSON.stringify alone keeps the value whole: no specials, no class instances, no own `__proto__`, no cycles.
 * `false` only means "look closer". Allocates nothing.
 */
export function isPlainJson(value: unknown, depth = 0): boolean {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return true;
  if (typeof value === 'number') return value - value === 0 && (value !== 0 || 1 / value > 0);
  // A cycle ends here too.
  if (typeof value !== 'object' || depth >= MAX_DEPTH) return false;
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (Array.isArray(value)) {
    if (prototype !== Array.prototype) return false;
    for (let i = 0; i < value.length; i++) if (!isPlainJson(value[i], depth + 1)) return false;
    return true;
  }
  if (prototype !== Object.prototype && prototype !== null) return false;
  // Twice as fast as Object.keys; an inherited property, met only on a polluted prototype, at worst sends the value the slow way.
  for (const key in value) {
    if (key === '__proto__' || !isPlainJson((value as Record<string, unknown>)[key], depth + 1)) return false;
  }
  return true;
}
