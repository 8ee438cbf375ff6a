import { createHash } from 'node:crypto';

const TAG = /(?:W\/)?"[^"]*"|[^\s,"][^,]*/g;

/**
 * Makes an entity tag from a representation's bytes. Weak by default, since a proxy may recode what we send (RFC 9110 8.8.1).
 * To be made once, when storing: never per hit.
 * @example makeEntityTag(body) // W/"2f-Qz3…"
 */
export function makeEntityTag(body: Uint8Array, strength: 'weak' | 'strong' = 'weak'): string {
  const digest = createHash('sha256').update(body).digest('base64url').slice(0, 27);
  return `${strength === 'weak' ? 'W/' : ''}"${body.byteLength.toString(16)}-${digest}"`;
}

/** The weak form of a tag: for a recoded body, which is not the same bytes (RFC 9110 8.8.1). */
export function weakened(tag: string): string {
  return tag.startsWith('W/') ? tag : `W/${tag}`;
}

/** Weak comparison: If-None-Match (RFC 9110 8.8.3.2). */
export function weakMatch(a: string, b: string): boolean {
  return opaque(a) === opaque(b);
}

/** Strong comparison: If-Match, If-Range. Two weak tags never match, not even with themselves. */
export function strongMatch(a: string, b: string): boolean {
  return a === b && !a.startsWith('W/');
}

/** The tags of If-None-Match or If-Match, `*` among them if it was sent. Commas inside tags separate nothing. */
export function entityTags(text: string): string[] {
  return (text.match(TAG) ?? []).map((tag) => tag.trim());
}

function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag;
}
