import type { Fields } from './fields/fields.js';
import type { CachePolicy } from './cache-policy.js';
import type { StoredResponse } from './stored-response.js';
import { selects } from './vary.js';

/**
 * Picks the response to a request among those stored for its URL: the newest whose `Vary` fields match (RFC 9111 4.1). `undefined`: none
 * does (`fwd=vary-miss`, or `uri-miss` where there are none).
 */
export function select<T extends { readonly stored: StoredResponse }>(
  candidates: readonly T[],
  request: Fields,
  policy: Pick<CachePolicy, 'varyMatch' | 'codings'>,
): T | undefined {
  let chosen: T | undefined;
  for (const candidate of candidates) {
    const { vary } = candidate.stored;
    if (vary && !selects(vary, request, policy)) continue;
    if (!chosen || isNewer(candidate.stored, chosen.stored)) chosen = candidate;
  }
  return chosen;
}

function isNewer(a: StoredResponse, b: StoredResponse): boolean {
  return a.date === b.date ? a.receivedAt > b.receivedAt : a.date > b.date;
}
