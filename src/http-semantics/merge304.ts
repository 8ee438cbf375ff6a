import { strongMatch } from './fields/entity-tag.js';
import { fieldLines, fieldText, withoutFields, type Fields } from './fields/fields.js';
import { hopByHop } from './fields/hop-by-hop.js';
import { formatHttpDate, parseHttpDate } from './fields/http-date.js';
import type { CachePolicy } from './cache-policy.js';
import type { Exchange } from './exchange.js';
import { isOfTheRequest, storable, type Refusal } from './storable.js';
import { markStale, type StoredResponse } from './stored-response.js';

/** Fields of the stored body, not of the answer that confirmed it (RFC 9111 3.2). */
const OF_THE_BODY = new Set(['content-length', 'content-encoding', 'content-type', 'content-range']);
const NEVER_MERGED = new Set(['set-cookie', 'set-cookie2', 'age']);

/**
 * A stored response brought up to date. `headers` answer the request at hand. `stored` is what to store with them instead. Where it is missing
 * either the origin withdrew its permission and the entry has to go, or only this request's answer must not be stored and the entry stays.
 */
export interface Merged {
  readonly headers: Fields;
  readonly stored?: StoredResponse;
  readonly reason?: Refusal;
  readonly isWithdrawn: boolean;
}

/**
 * Merges a 304 into what it confirms (RFC 9111 4.3.4): its fields replace and add to the stored ones, and freshness starts anew, even where the
 * 304 carries nothing at all. `undefined` where its strong validator is of another representation: ask again without conditions.
 * @param exchange the request to be answered and the 304
 */
export function merge304(
  stored: StoredResponse,
  headers: Fields,
  exchange: Exchange,
  policy: CachePolicy,
): Merged | undefined {
  const etag = fieldText(exchange.response.headers, 'etag')?.trim();
  const isOther = etag !== undefined && !etag.startsWith('W/') && stored.etag !== undefined;
  if (isOther && !strongMatch(etag, stored.etag)) return undefined;
  return freshened(stored, headers, exchange, policy);
}

/** What the answer to a HEAD says about a stored GET (RFC 9111 4.3.5). */
export interface HeadEffect extends Merged {
  readonly isConfirmed: boolean;
}

/**
 * Applies a 200 to HEAD to a stored response: validators and length that agree freshen it, one that differs makes it stale.
 * `undefined` for other answers, which say nothing about it.
 */
export function mergeHead(
  stored: StoredResponse,
  headers: Fields,
  exchange: Exchange,
  policy: CachePolicy,
): HeadEffect | undefined {
  if (exchange.response.status !== 200 || stored.status !== 200) return undefined;
  const answer = exchange.response.headers;
  const agrees = ['etag', 'last-modified', 'content-length'].every((name) => {
    const said = fieldText(answer, name)?.trim();
    return said === undefined || said === fieldText(headers, name)?.trim();
  });
  if (!agrees)
    return { isConfirmed: false, isWithdrawn: false, headers, stored: markStale(stored, exchange.receivedAt) };
  const asGet = { ...exchange, request: { ...exchange.request, method: 'GET' } };
  return { isConfirmed: true, ...freshened(stored, headers, asGet, policy) };
}

function freshened(stored: StoredResponse, headers: Fields, exchange: Exchange, policy: CachePolicy): Merged {
  const answer = exchange.response.headers;
  const isHopByHop = hopByHop(answer);
  const merged = withoutFields(headers, () => false);
  const update = withoutFields(answer, (name) => OF_THE_BODY.has(name) || NEVER_MERGED.has(name) || isHopByHop(name));
  // An answer without a date is of now (RFC 9110 6.6.1); the stored date would make it old from the start.
  const isDated = parseHttpDate(fieldText(answer, 'date'), exchange.receivedAt) !== undefined;
  Object.assign(merged, update, isDated ? {} : { date: formatHttpDate(exchange.receivedAt) });
  const age = fieldLines(answer, 'age');
  const response = { status: stored.status, headers: age.length > 0 ? { ...merged, age } : merged };
  const { request, requestedAt, receivedAt } = exchange;
  const made = storable({ request, response, requestedAt, receivedAt }, policy);
  if (made.isStorable) return { headers: made.headers, stored: made.stored, isWithdrawn: false };
  return { headers: merged, reason: made.reason, isWithdrawn: !isOfTheRequest(made.reason) };
}
