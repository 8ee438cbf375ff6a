import type { CacheKey } from '../cache.options.js';
import type { Namespace } from '../namespace.js';
import { EncodedKey } from './encoded-key.js';
import { encodeKey } from './key-encoding.js';
import { isShortened, shorten } from './store-key.js';

/** One key of one namespace in all its spellings. */
export interface Address {
  readonly encoded: string;
  /** In the memory tier's index. A plain string key stands for itself there, so that a hit builds nothing. */
  readonly local: string;
  /** In the store. */
  readonly store: string;
}

const SLASH = 47;

export function addressOf(namespace: Namespace, key: CacheKey | EncodedKey): Address {
  if (key instanceof EncodedKey) {
    const { encoded, short, local } = key;
    return { encoded, local, store: `${namespace.storePrefix}${short}}` };
  }
  const encoded = encodeKey(key);
  const short = shorten(encoded);
  return {
    encoded,
    local: short !== encoded ? `\0~${short}` : typeof key === 'string' ? localOfString(key) : encoded,
    store: `${namespace.storePrefix}${short}}`,
  };
}

/** Whether a string key may be looked up in the index as it is: those that could be mistaken for another form may not. */
export function isPlain(key: string): boolean {
  const first = key.charCodeAt(0);
  return first !== SLASH && first !== 0;
}

/** The index key behind a key reported by the store, if it belongs to this namespace under its configured stamp. */
export function localOfStoreKey(namespace: Namespace, reported: string): string | undefined {
  const prefix = namespace.storePrefix;
  if (!reported.startsWith(prefix)) return undefined;
  const short = reported.slice(prefix.length, -1);
  if (isShortened(short)) return `\0~${short}`;
  return short.charCodeAt(0) === SLASH ? short : localOfString(unescape16(short));
}

function localOfString(key: string): string {
  return isPlain(key) ? key : `\0${key}`;
}

function unescape16(escaped: string): string {
  if (!escaped.includes('%')) return escaped;
  return escaped.replace(
    /%(?:u([0-9a-f]{4})|([0-9a-f]{2}))/g,
    (_, wide: string | undefined, narrow: string | undefined) =>
      String.fromCharCode(Number.parseInt(wide ?? (narrow as string), 16)),
  );
}
