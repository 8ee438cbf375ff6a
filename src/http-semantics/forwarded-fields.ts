import { withoutFields, type Fields } from './fields/fields.js';
import { hopByHop } from './fields/hop-by-hop.js';
import type { StoredResponse } from './stored-response.js';

/** A client's own conditions: answered by the cache; sent on, a 304 or a 206 to one of them would become everybody's answer. Lower case. */
export const CONDITIONS: readonly string[] = [
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'range',
];

/**
 * The fields of a request to the origin that is to fill the cache, or, with a stored response, to validate it (RFC 9111 4.3.1).
 * Whatever `Vary` names is among the client's own fields and stays.
 */
export function forwardedFields(request: Fields, stored?: StoredResponse): Fields {
  const isHopByHop = hopByHop(request);
  const fields = withoutFields(request, (name) => CONDITIONS.includes(name) || isHopByHop(name));
  return stored ? Object.assign(fields, validators(stored)) : fields;
}

/** The validators of a stored response, as a condition. Empty where it has none: then only a whole answer will do. */
export function validators(stored: StoredResponse): Fields {
  return {
    ...(stored.etag !== undefined && { 'if-none-match': stored.etag }),
    ...(stored.lastModified !== undefined && { 'if-modified-since': stored.lastModified }),
  };
}
