import { createHash } from 'node:crypto';

/** Longest readable form of a key; the rest of a store's 200 characters is for namespace and stamp. */
const MAX_READABLE = 100;
export const HASHED_PREFIX = 40;

/**
 * What the keys of a namespace begin with. A key as a store sees it is `<stamp>:<namespace>:{<key>}`: the braces are Redis Cluster's hash
 * tag, so that what belongs to one key shares a slot. A long key keeps a readable beginning and ends in `~` and the SHA-256 of the whole;
 * `~` occurs in no short key.
 */
export function storePrefix(stamp: string, namespace: string): string {
  return `${stamp}:${namespace}:{`;
}

/** Whether the key that the store sees is a long one, of which only a beginning can be read. */
export function isShortened(short: string): boolean {
  return short.includes('~');
}

/** As part of a key or token name: unchanged while short, else a readable beginning and a hash. */
export function shorten(encoded: string): string {
  if (encoded.length <= MAX_READABLE) return encoded;
  return `${encoded.slice(0, HASHED_PREFIX)}~${createHash('sha256').update(encoded).digest('base64url')}`;
}
