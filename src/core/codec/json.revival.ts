import { createBinary } from './binary-kind.js';
import { createError } from './error-data.js';
import { MAX_DEPTH, TAG } from './side-table.js';

/** Every container of the value is at most one branch and one special. */
const MAX_STEPS = 2 * MAX_DEPTH + 2;

const HEX = /^-?[0-9a-f]+$/;

/**
 * Puts the specials of a side table into freshly parsed JSON data and returns the whole. Trusts nothing: only own places of arrays and
 * plain objects are written, and whatever is out of shape throws.
 */
export function revive(data: unknown, table: unknown, steps = 0): unknown {
  if (steps > MAX_STEPS) throw new RangeError('side table too deep');
  if (!Array.isArray(table)) return createSpecial(table, steps);
  for (let i = 0; i < table.length; i += 2) {
    const place = ownPlace(data, table[i]);
    place.container[place.key] = revive(place.container[place.key], table[i + 1], steps + 1);
  }
  return data;
}

/** `length` of an array, inherited names and the places of objects that are specials themselves are refused. */
function ownPlace(data: unknown, key: unknown): { container: Record<string | number, unknown>; key: string | number } {
  if (typeof data !== 'object' || data === null) throw new TypeError('no container');
  const container = data as Record<string | number, unknown>;
  if (Array.isArray(data)) {
    if (typeof key === 'number' && Number.isInteger(key) && key >= 0 && key < data.length) return { container, key };
  } else if (Object.getPrototypeOf(data) === Object.prototype) {
    if (typeof key === 'string' && key !== '__proto__' && Object.hasOwn(data, key)) return { container, key };
  }
  throw new TypeError('no such place');
}

function createSpecial(special: unknown, steps: number): unknown {
  if (typeof special !== 'object' || special === null) throw new TypeError('malformed special');
  const { t, v, s } = special as { t?: unknown; v?: unknown; s?: unknown };
  switch (t) {
    case TAG.undefined:
      return undefined;
    case TAG.notANumber:
      return NaN;
    case TAG.infinity:
      return Infinity;
    case TAG.minusInfinity:
      return -Infinity;
    case TAG.minusZero:
      return -0;
    case TAG.bigint:
      return createBigInt(text(v));
    case TAG.date:
      // JSON says NaN, the time of an invalid date, as null.
      return new Date(v === null ? NaN : number(v));
    case TAG.url:
      return new URL(text(v));
    default:
      return createFromList(t, list(s === undefined ? v : revive(v, s, steps + 1)));
  }
}

function createFromList(t: unknown, items: readonly unknown[]): unknown {
  switch (t) {
    case TAG.map: {
      if (items.length % 2 !== 0) throw new TypeError('a key without a value');
      const map = new Map<unknown, unknown>();
      for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
      return map;
    }
    case TAG.set:
      return new Set(items);
    case TAG.binary:
      return createBinary(text(items[0]), text(items[1]));
    case TAG.regexp:
      return new RegExp(text(items[0]), text(items[1]));
    case TAG.error:
      return createError(items);
    default:
      throw new TypeError('unknown tag');
  }
}

/** Hexadecimal, because reading decimal digits takes more than linear time. */
function createBigInt(digits: string): bigint {
  if (!HEX.test(digits)) throw new TypeError('malformed integer');
  return digits.startsWith('-') ? -BigInt(`0x${digits.slice(1)}`) : BigInt(`0x${digits}`);
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('not a string');
  return value;
}

function number(value: unknown): number {
  if (typeof value !== 'number') throw new TypeError('not a number');
  return value;
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError('not a list');
  return value;
}
