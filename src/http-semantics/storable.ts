import { parseCacheControl, type Directives } from './fields/cache-control.js';
import { fieldLines, hasField, type Fields } from './fields/fields.js';
import { bodyRefusal } from './body-refusal.js';
import type { CachePolicy } from './cache-policy.js';
import type { Exchange } from './exchange.js';
import {
  bounded,
  HEURISTIC_STATUSES,
  initialAge,
  lifetimeByHeaders,
  lifetimeByPolicy,
  type Lifetime,
} from './freshness.js';
import { allowsAuthorization, storedFields, storedResponse } from './make-stored.js';
import { responseDirectives, type ResponseDirectives } from './response-directives.js';
import type { StoredResponse } from './stored-response.js';
import { varyNames } from './vary.js';

/** Why a response is not stored. */
export type Refusal =
  | 'method'
  | 'status'
  | 'no-store'
  | 'request-no-store'
  | 'private'
  | 'no-cache'
  | 'authorization'
  | 'vary'
  | 'set-cookie'
  | 'stream'
  | 'coding-without-vary'
  | 'nonce'
  | 'incomplete'
  | 'too-large'
  | 'not-fresh';

/** Whether a refusal is about what the request is, not about what the origin says: what is stored already stays true. */
export function isOfTheRequest(reason: Refusal): boolean {
  return reason === 'authorization' || reason === 'request-no-store';
}

/** What to store: `stored` in the envelope, `headers` beside the body. */
export type Storable =
  | { readonly isStorable: true; readonly stored: StoredResponse; readonly headers: Fields }
  | { readonly isStorable: false; readonly reason: Refusal };

/** Statuses whose caching rules this engine knows: what `must-understand` asks for (RFC 9111 5.2.2.3). */
const UNDERSTOOD = new Set([...HEURISTIC_STATUSES, 302, 303, 307, 400, 401, 403, 500, 502, 503, 504]);

/**
 * Whether a response may be stored, and what to store of it (RFC 9111 3). A response that may not be stored may not be shared with
 * requests that waited for it either: those go forward themselves.
 * @example const made = storable(exchange, policy); if (made.isStorable) envelope = [made.stored, made.headers, bytes]
 */
export function storable(exchange: Exchange, policy: CachePolicy): Storable {
  const { request, response } = exchange;
  if (request.method !== 'GET') return { isStorable: false, reason: 'method' };
  const found = responseDirectives(response.headers, policy);
  const lifetime = lifetimeOf(exchange, found, policy);
  const reason =
    statusRefusal(response.status, policy) ??
    optOut(exchange, found.directives, policy) ??
    bodyRefusal(exchange, policy) ??
    freshnessRefusal(exchange, found.directives, lifetime, policy);
  if (reason) return { isStorable: false, reason };
  return {
    isStorable: true,
    stored: storedResponse(exchange, found, lifetime.ms, policy),
    headers: storedFields(response.headers, found.directives, policy),
  };
}

function statusRefusal(status: number, policy: CachePolicy): Refusal | undefined {
  // What is beyond 599 is invalid, and nobody knows what it means (RFC 9110 15).
  if (status < 200 || status > 599 || status === 205 || status === 206 || status === 304) return 'status';
  if (policy.mode === 'rfc') return undefined;
  return policy.statuses.includes(status) || policy.negative?.statuses.includes(status) ? undefined : 'status';
}

function optOut({ request, response }: Exchange, directives: Directives, policy: CachePolicy): Refusal | undefined {
  const { headers, status } = response;
  const isShared = policy.view === 'shared';
  const isUnderstood = policy.mode === 'rfc' && directives.mustUnderstand === true;
  if (isUnderstood && !UNDERSTOOD.has(status)) return 'status';
  if (directives.noStore && !isUnderstood) return 'no-store';
  if (parseCacheControl(fieldLines(request.headers, 'cache-control')).noStore) return 'request-no-store';
  if (isShared && directives.private) return 'private';
  if (policy.mode === 'ttl' && directives.noCache) return 'no-cache';
  if (isShared && hasField(request.headers, 'authorization') && !allowsAuthorization(directives, policy))
    return 'authorization';
  if (varyNames(headers) === '*') return 'vary';
  if (policy.setCookie === 'refuse' && (hasField(headers, 'set-cookie') || hasField(headers, 'set-cookie2')))
    return 'set-cookie';
  return undefined;
}

function lifetimeOf({ response, ...exchange }: Exchange, found: ResponseDirectives, policy: CachePolicy): Lifetime {
  if (policy.mode === 'rfc') return lifetimeByHeaders(response.status, response.headers, found, exchange, policy);
  const ms = bounded(lifetimeByPolicy(response.status, policy), policy);
  // The decorator's time runs from now, however old an upstream says its answer is.
  return { ms: ms > 0 ? ms + initialAge(response.headers, exchange) : 0, isExplicit: false };
}

/** Stored only where it can be of use: fresh, permitted stale, or open to validation. */
function freshnessRefusal(
  exchange: Exchange,
  directives: Directives,
  lifetime: Lifetime,
  policy: CachePolicy,
): Refusal | undefined {
  const { headers, status } = exchange.response;
  if (policy.mode === 'ttl') return lifetime.ms > 0 ? undefined : 'not-fresh';
  const isAllowed =
    lifetime.isExplicit ||
    lifetime.ms > 0 ||
    directives.public === true ||
    (policy.view === 'private' && directives.private === true) ||
    HEURISTIC_STATUSES.has(status);
  if (!isAllowed) return 'not-fresh';
  const isFresh = lifetime.ms > initialAge(headers, exchange);
  const isUsefulStale = (directives.staleWhileRevalidate ?? 0) > 0 || (directives.staleIfError ?? 0) > 0;
  const hasValidator = hasField(headers, 'etag') || hasField(headers, 'last-modified');
  return isFresh || isUsefulStale || hasValidator ? undefined : 'not-fresh';
}
