import { createHash } from 'node:crypto';
import type { KeyPart } from '../../core/cache.options.js';
import { encodeKey } from '../../core/keys/key-encoding.js';
import { Bypass } from './bypass.js';

/** In characters. A key has few parts, and all of them together must stay below what the engine takes. */
const LONGEST = 256;
const DEEPEST = 6;

/** `text`, or its SHA-256 if it is long; the two cannot be confused. */
export function shortText(text: string): KeyPart {
  return text.length <= LONGEST ? text : { sha256: sha256(text) };
}

/** A secret as part of a key: keys are stored, listed and logged. */
export function secretText(text: string): string {
  return sha256(text);
}

/** A value from outside (parameters, arguments, a message) as a part of a key; only data has one. */
export function partOf(value: unknown): KeyPart | Bypass {
  if (!isData(value, 0)) return new Bypass('payload');
  let encoded: string;
  try {
    encoded = encodeKey([value]);
  } catch {
    // Longer than a key may be.
    return new Bypass('payload');
  }
  return encoded.length <= LONGEST ? { is: value } : { sha256: sha256(encoded) };
}

function isData(value: unknown, depth: number): value is KeyPart {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'bigint':
    case 'undefined':
      return true;
    case 'number':
      return Number.isFinite(value);
    case 'object':
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (depth >= DEEPEST) return false;
  if (value instanceof Date) return !Number.isNaN(value.getTime());
  if (Array.isArray(value)) return value.every((item) => isData(item, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  return Object.values(value).every((item) => isData(item, depth + 1));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
