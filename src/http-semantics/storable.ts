import { cacheGroups } from './fields/cache-groups.js';
import { parseCacheControl, type Directives } from './fields/cache-control.js';
import { fieldLines, fieldText, hasField, withoutFields, type Fields } from './fields/fields.js';
import type { RequestHead, ResponseHead } from './fields/fields.js';
import { hopByHop } from './fields/hop-by-hop.js';
import { parseHttpDate } from './fields/http-date.js';
import type { CachePolicy } from './cache-policy.js';
import { promiseOf } from './downstream.js';
import {
  bounded,
  dateOf,
  HEURISTIC_STATUSES,
  initialAge,
  lifetimeByHeaders,
  type Lifetime,
  type Timing,
} from './freshness.js';
import { responseDirectives, type ResponseDirectives } from './response-directives.js';
import type { StoredResponse } from './stored-response.js';
import { varyNames, varySelection } from './vary.js';

/** A request and the answer it got. */
export interface Exchange extends Timing {
  readonly request: RequestHead;
  readonly response: ResponseHead;
  /** What came of the body, once it ended. To be asked before (head only) and after it was read. */
  readonly body?: { readonly bytes: number; readonly isComplete: boolean };
}

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
  if (status < 200 || status === 205 || status === 206 || status === 304) return 'status';
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

/** RFC 9111 3.5. */
function allowsAuthorization(directives: Directives, policy: CachePolicy): boolean {
  if (policy.authorization !== 'rfc') return policy.authorization === 'ignore';
  return directives.public === true || directives.mustRevalidate === true || directives.sMaxage !== undefined;
}

function bodyRefusal({ response: { headers }, body }: Exchange, policy: CachePolicy): Refusal | undefined {
  const type = fieldText(headers, 'content-type')?.trim().toLowerCase();
  if (!policy.cacheStreams && type?.startsWith('text/event-stream')) return 'stream';
  if (policy.mode === 'ttl') {
    const coding = fieldText(headers, 'content-encoding')?.trim().toLowerCase();
    const varies = varyNames(headers);
    if (coding && coding !== 'identity' && !varies.includes('accept-encoding')) return 'coding-without-vary';
    if (fieldText(headers, 'content-security-policy')?.toLowerCase().includes("'nonce-")) return 'nonce';
  }
  const lengths = new Set(
    fieldLines(headers, 'content-length')
      .flatMap((line) => line.split(','))
      .map(Number),
  );
  if (lengths.size > 1) return 'incomplete';
  const [length] = lengths;
  if (length !== undefined && length > policy.maxBytes) return 'too-large';
  if (!body) return undefined;
  if (body.bytes > policy.maxBytes) return 'too-large';
  return body.isComplete && (length === undefined || length === body.bytes) ? undefined : 'incomplete';
}

function lifetimeOf({ response, ...exchange }: Exchange, found: ResponseDirectives, policy: CachePolicy): Lifetime {
  if (policy.mode === 'rfc') return lifetimeByHeaders(response.status, response.headers, found, exchange, policy);
  const { negative, statuses } = policy;
  const isNegative = negative?.statuses.includes(response.status) && !statuses.includes(response.status);
  const ms = bounded(isNegative ? (negative?.freshFor ?? 0) : policy.freshFor, policy);
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
    policy.freshFor > 0 ||
    directives.public === true ||
    (policy.view === 'private' && directives.private === true) ||
    HEURISTIC_STATUSES.has(status);
  if (!isAllowed) return 'not-fresh';
  const isFresh = lifetime.ms > initialAge(headers, exchange);
  const isUsefulStale = (directives.staleWhileRevalidate ?? 0) > 0 || (directives.staleIfError ?? 0) > 0;
  const hasValidator = hasField(headers, 'etag') || hasField(headers, 'last-modified');
  return isFresh || isUsefulStale || hasValidator ? undefined : 'not-fresh';
}

function storedResponse(
  exchange: Exchange,
  found: ResponseDirectives,
  lifetimeMs: number,
  policy: CachePolicy,
): StoredResponse {
  const { request, response, receivedAt } = exchange;
  const { directives } = found;
  const { headers } = response;
  const isStrict = forbidsStale(directives, policy);
  const bornAt = receivedAt - initialAge(headers, exchange);
  const etag = fieldText(headers, 'etag')?.trim();
  const lastModified = fieldText(headers, 'last-modified');
  const modifiedAt = parseHttpDate(lastModified, receivedAt);
  const names = varyNames(headers) as readonly string[];
  const groups = cacheGroups(headers);
  return {
    status: response.status,
    bornAt,
    receivedAt,
    freshUntil: bornAt + lifetimeMs,
    staleWhileRevalidate: isStrict ? 0 : windowMs(directives.staleWhileRevalidate, policy.staleWhileRevalidate, policy),
    staleIfError: isStrict ? 0 : windowMs(directives.staleIfError, policy.staleIfError, policy),
    date: dateOf(headers, exchange),
    ...(isStrict && { mustRevalidate: true as const }),
    ...(directives.noCache && { noCache: true as const }),
    ...(policy.view === 'shared' &&
      !allowsAuthorization(directives, policy) && { withoutAuthorization: true as const }),
    ...(etag && { etag }),
    ...(lastModified !== undefined && modifiedAt !== undefined && { lastModified, modifiedAt }),
    ...(names.length > 0 && { vary: varySelection(names, request.headers, policy) }),
    ...(groups.length > 0 && { groups }),
    promise: promiseOf(headers, directives, policy),
  };
}

/** RFC 9111 4.2.4 and 5.2.2.10: in a shared cache s-maxage forbids what proxy-revalidate forbids. In ttl mode it is only a lifetime. */
function forbidsStale(directives: Directives, policy: CachePolicy): boolean {
  if (directives.mustRevalidate || directives.noCache) return true;
  if (policy.view !== 'shared') return false;
  return directives.proxyRevalidate === true || (policy.mode === 'rfc' && directives.sMaxage !== undefined);
}

function windowMs(stated: number | undefined, ours: number, policy: CachePolicy): number {
  return policy.mode === 'rfc' && stated !== undefined ? stated * 1000 : Math.min(ours, Number.MAX_SAFE_INTEGER);
}

/** The fields to keep: end-to-end, without cookies, without `Age` (worked into `bornAt`), without those that directives withhold. */
function storedFields(headers: Fields, directives: Directives, policy: CachePolicy): Fields {
  const isHopByHop = hopByHop(headers);
  const withheld = new Set([
    ...(directives.noCacheFields ?? []),
    ...(policy.view === 'shared' ? (directives.privateFields ?? []) : []),
    'age',
    'set-cookie',
    'set-cookie2',
  ]);
  return withoutFields(headers, (name) => isHopByHop(name) || withheld.has(name));
}
