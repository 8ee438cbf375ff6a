/** Longer ones are no keys. */
const MAX_LENGTH = 255;
/** A String of RFC 8941 3.3.3, without parameters. */
const QUOTED = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;
/** What most clients send instead: no quotes, and nothing that could end a value. */
const BARE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+$/;

/**
 * The key in an `Idempotency-Key` field: a structured string (draft-ietf-httpapi-idempotency-key-header), or the same without its quotes.
 * `undefined`: it is none.
 * @example parseIdempotencyKey('"8e03978e-40d5-43dd"') // '8e03978e-40d5-43dd'
 */
export function parseIdempotencyKey(field: string): string | undefined {
  const text = field.trim();
  if (text.length > MAX_LENGTH) return undefined;
  const key = QUOTED.exec(text)?.[1]?.replaceAll(/\\(["\\])/g, '$1') ?? (BARE.test(text) ? text : undefined);
  return key === '' ? undefined : key;
}
