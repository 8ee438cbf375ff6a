import { splitList } from './field-list.js';

/** What lets others keep it, and a `private` that may be about some fields only. */
const DROPPED = /^[^a-z]*(?:public|private|s-maxage|proxy-revalidate)\b/i;

/**
 * A Cache-Control with which nobody but the client keeps the response.
 * @example asPrivate('public, max-age=60, s-maxage=90') // 'private, max-age=60'
 */
export function asPrivate(text: string | undefined): string {
  const kept = splitList(text ?? '').members.filter((member) => !DROPPED.test(member));
  return ['private', ...kept].join(', ');
}

/** Whether a field, of lower-case name, tells some caches something else than Cache-Control does (RFC 9213). */
export function isTargeted(name: string): boolean {
  return name === 'surrogate-control' || name === 'cdn-cache-control' || name.endsWith('-cdn-cache-control');
}
