import { cacheGroups } from './fields/cache-groups.js';
import type { Directives } from './fields/cache-control.js';
import { fieldText, withoutFields, type Fields } from './fields/fields.js';
import { hopByHop } from './fields/hop-by-hop.js';
import { parseHttpDate } from './fields/http-date.js';
import { isTargeted } from './fields/private-cache-control.js';
import type { CachePolicy } from './cache-policy.js';
import { promiseOf } from './downstream.js';
import type { Exchange } from './exchange.js';
import { dateOf, initialAge } from './freshness.js';
import type { ResponseDirectives } from './response-directives.js';
import type { StoredResponse } from './stored-response.js';
import { varyNames, varySelection } from './vary.js';

/** Works out, once, what judging each hit will need. */
export function storedResponse(
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

/**
 * The fields to keep: end-to-end, without cookies, without `Age` (worked into `bornAt`), without those that directives withhold, and without
 * words for caches that may not keep it.
 */
export function storedFields(headers: Fields, directives: Directives, policy: CachePolicy): Fields {
  const isHopByHop = hopByHop(headers);
  const withheld = new Set([
    ...(directives.noCacheFields ?? []),
    ...(policy.view === 'shared' ? (directives.privateFields ?? []) : []),
    'age',
    'set-cookie',
    'set-cookie2',
  ]);
  const isForOne = policy.promiseTo === 'client';
  return withoutFields(headers, (name) => isHopByHop(name) || withheld.has(name) || (isForOne && isTargeted(name)));
}

/** Whether a shared cache may keep, and send, this for requests with Authorization (RFC 9111 3.5). */
export function allowsAuthorization(directives: Directives, policy: CachePolicy): boolean {
  if (policy.authorization !== 'rfc') return policy.authorization === 'ignore';
  return directives.public === true || directives.mustRevalidate === true || directives.sMaxage !== undefined;
}
