import { createHash } from 'node:crypto';

/** What may stand in a key in all of these fields: visible ASCII but separators, quotes, and the escape itself. */
const PLAIN = /^[!#$&'()*+./0-9:;=?@A-Z^_`a-z|~-]*$/;
const LONGEST = 120;

/**
 * A tag as it stands in `Surrogate-Key`, `Cache-Tag` or `xkey`: what a list cannot hold is percent-encoded, and a longer one is a digest, so
 * that the labels of a response fit into a field. Two tags are two keys.
 * @example surrogateKey('Course:42') // 'Course:42'
 */
export function surrogateKey(tag: string): string {
  const key = PLAIN.test(tag) ? tag : escaped(tag);
  return key.length <= LONGEST ? key : `~${createHash('sha256').update(key).digest('base64url').slice(0, 27)}`;
}

/** The value of the field that tells caches in front of us the labels of a response. CDNs take `Cache-Tag` with commas, the others with spaces. */
export function formatSurrogateKeys(field: string, tags: Iterable<string>): string {
  const keys = new Set([...tags].map(surrogateKey));
  return [...keys].join(field.toLowerCase() === 'cache-tag' ? ',' : ' ');
}

function escaped(tag: string): string {
  let key = '';
  for (const byte of new TextEncoder().encode(tag)) {
    const character = String.fromCharCode(byte);
    key += PLAIN.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return key;
}
