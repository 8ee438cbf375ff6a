import type { CacheKey, KeyPart } from '../core/cache.options.js';
import { CacheUsageError } from '../core/errors/cache.error.js';
import { encodeKey } from '../core/keys/key-encoding.js';
import { shorten } from '../core/keys/store-key.js';

/** Several keys that are locked together; see {@link allOf}. */
export class KeySet {
  constructor(readonly keys: readonly CacheKey[]) {}
}

/** What is locked: one key (an array is one key of several parts; `42` and `'42'` are the same part), or several by {@link allOf}. */
export type LockTarget = CacheKey | KeySet;

/**
 * Several keys to be locked together: all or none, in the same order everywhere, so that two callers cannot wait for each other.
 * @example locks.run(allOf(['account', from], ['account', to]), transfer)
 */
export function allOf(...keys: CacheKey[]): KeySet {
  return new KeySet(keys);
}

/** One lock in both spellings. */
export interface LockAddress {
  readonly encoded: string;
  /** In the store: never stamped, so that an old and a new version of the application exclude each other. */
  readonly store: string;
}

/**
 * Without doubles, in the order in which everybody takes them.
 * @throws CacheUsageError `invalid_key`, `invalid_lock_key` for a key part that is missing: `['voucher', undefined]` would lock everybody's
 */
export function addressesOf(target: LockTarget): LockAddress[] {
  if (!(target instanceof KeySet)) return [addressOf(encodeLockKey(target))];
  if (target.keys.length === 0) throw new CacheUsageError('invalid_lock_key', 'allOf() was given no key');
  const encoded = new Set(target.keys.map(encodeLockKey));
  return [...encoded].sort().map(addressOf);
}

function addressOf(encoded: string): LockAddress {
  return { encoded, store: `{${shorten(encoded)}}` };
}

function encodeLockKey(key: CacheKey): string {
  return encodeKey(Array.isArray(key) ? key.map((part: KeyPart, i) => spelled(part, `key[${i}]`)) : key);
}

/** `42` of a database and `'42'` of a URL are one record: for locks they are one part, unlike for cached values. */
function spelled(part: KeyPart, at: string): KeyPart {
  if (part === undefined || part === null || part === '')
    throw new CacheUsageError(
      'invalid_lock_key',
      `${at} of the lock is ${part === '' ? 'an empty string' : String(part)}; without it unrelated callers would share one lock`,
    );
  if (typeof part === 'bigint' || (typeof part === 'number' && Number.isFinite(part))) return String(part);
  if (Array.isArray(part)) return part.map((item: KeyPart, i) => spelled(item, `${at}[${i}]`));
  if (!isPlainObject(part)) return part;
  return Object.fromEntries(Object.entries(part).map(([name, field]) => [name, spelled(field, `${at}.${name}`)]));
}

/** Anything else is for {@link encodeKey} to judge. */
function isPlainObject(part: KeyPart): part is { readonly [name: string]: KeyPart } {
  if (typeof part !== 'object' || part === null) return false;
  const prototype: unknown = Object.getPrototypeOf(part);
  return prototype === Object.prototype || prototype === null;
}
