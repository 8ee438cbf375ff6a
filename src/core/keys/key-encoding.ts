import type { CacheKey, KeyPart } from '../cache.options.js';
import { CacheUsageError } from '../errors/cache.error.js';

const BARE = /^[A-Za-z0-9_.:-]+$/;
/** By UTF-16 unit, so that lone surrogates have a spelling of their own. */
const ESCAPED = /[^A-Za-z0-9_.:-]/g;
const ESCAPES = Array.from({ length: 0x100 }, (_, code) => '%' + code.toString(16).padStart(2, '0'));
const MAX_DEPTH = 8;
/** Longer keys are a mistake (a whole document passed as a key), not something to hash silently. In characters of the encoded key. */
const MAX_LENGTH = 16_384;

/**
 * Writes a key as readable ASCII, injectively: two keys that differ in any way (`1` and `'1'`, `['a', 'b']` and `'a:b'`) differ here.
 * A string stays as it is as far as it is made of letters, digits and `_ . : -`; an array starts with `/`.
 * @throws CacheUsageError `invalid_key`, naming the position and the type found
 * @example encodeKey(['payment', 42, { state: 'paid' }]) // '/payment/#42/(state=paid)'
 */
export function encodeKey(key: CacheKey): string {
  if (typeof key === 'string') {
    if (key.length === 0) throw invalid('key', 'an empty string');
    return limited(BARE.test(key) ? key : escapeText(key));
  }
  if (!Array.isArray(key)) throw invalid('key', typeName(key));
  if (key.length === 0) throw invalid('key', 'an empty array');
  let encoded = '';
  for (let i = 0; i < key.length; i++) encoded += '/' + encodePart(key[i] as KeyPart, `key[${i}]`, 0);
  return limited(encoded);
}

// Structural characters (/ # ! @ ( ) [ ] = ,) never appear in escaped text, so each form below can be told from every other.
function encodePart(part: KeyPart, at: string, depth: number): string {
  switch (typeof part) {
    case 'string':
      return part === '' ? '!s' : escapeText(part);
    case 'number':
      if (!Number.isFinite(part)) throw invalid(at, String(part));
      return '#' + (part === 0 ? '0' : String(part));
    case 'bigint':
      return `#${part}n`;
    case 'boolean':
      return part ? '!t' : '!f';
    case 'undefined':
      return '!u';
    case 'object':
      return part === null ? '!n' : encodeObject(part, at, depth);
    default:
      throw invalid(at, typeName(part));
  }
}

function encodeObject(part: object, at: string, depth: number): string {
  if (depth >= MAX_DEPTH) throw invalid(at, `an object nested deeper than ${MAX_DEPTH}`);
  if (Array.isArray(part))
    return `[${part.map((item, i) => encodePart(item as KeyPart, `${at}[${i}]`, depth + 1)).join(',')}]`;
  if (part instanceof Date) {
    if (Number.isNaN(part.getTime())) throw invalid(at, 'an invalid Date');
    return '@' + part.toISOString();
  }
  const prototype: unknown = Object.getPrototypeOf(part);
  if (prototype !== Object.prototype && prototype !== null) throw invalid(at, typeName(part));
  // Left out, they would make one key of objects that differ: the operators of Sequelize are such.
  if (hasSymbols(part)) throw invalid(at, 'an object with a symbol for a name');
  const fields = part as { readonly [name: string]: KeyPart };
  const names = Object.keys(fields).sort();
  return `(${names.map((name) => `${escapeText(name)}=${encodePart(fields[name], `${at}.${name}`, depth + 1)}`).join(',')})`;
}

function hasSymbols(part: object): boolean {
  return Object.getOwnPropertySymbols(part).some((name) => Object.prototype.propertyIsEnumerable.call(part, name));
}

function escapeText(text: string): string {
  return BARE.test(text) ? text : text.replace(ESCAPED, escapeUnit);
}

function escapeUnit(char: string): string {
  const code = char.charCodeAt(0);
  return code < 0x100 ? (ESCAPES[code] as string) : '%u' + code.toString(16).padStart(4, '0');
}

function limited(encoded: string): string {
  if (encoded.length > MAX_LENGTH) throw invalid('key', `${encoded.length} characters (at most ${MAX_LENGTH})`);
  return encoded;
}

function invalid(at: string, found: string): CacheUsageError {
  return new CacheUsageError(
    'invalid_key',
    `${at} is ${found}; a key is a non-empty string or an array of strings, finite numbers, bigints, booleans, null, undefined, valid Dates, arrays and plain objects`,
  );
}

function typeName(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return typeof value === 'object'
    ? `an instance of ${value.constructor?.name ?? 'an unknown class'}`
    : `a ${typeof value}`;
}
