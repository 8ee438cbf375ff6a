import { parseCacheControl, type Directives } from './fields/cache-control.js';
import { fieldLines, hasField, type Fields } from './fields/fields.js';
import type { CachePolicy } from './cache-policy.js';
import { ageAt, remainingAt, type StoredResponse } from './stored-response.js';
import { selects } from './vary.js';

/** What to do with a stored response. */
export interface Judgement {
  /**
   * `fresh`, `stale`: send it. `revalidate`: ask the origin first. `gateway-timeout`: the client forbade asking; answer 504.
   */
  readonly verdict: 'fresh' | 'stale' | 'revalidate' | 'gateway-timeout';
  /** Why not simply fresh: it is stale, or the request or the response demands validation. For `Cache-Status: fwd=`. */
  readonly because?: 'stale' | 'request' | 'no-cache';
  /** Stale and sent: whether to fetch a new one in the background, once for all who are sent it. */
  readonly isRefreshDue: boolean;
  /** Whether it may be sent if the origin cannot be reached or answers 500, 502, 503 or 504 (RFC 5861 4). */
  readonly isUsableOnError: boolean;
}

const FRESH: Judgement = { verdict: 'fresh', isRefreshDue: false, isUsableOnError: true };

const NOT_FOR_THEM: Judgement = {
  verdict: 'revalidate',
  because: 'request',
  isRefreshDue: false,
  isUsableOnError: false,
};

/** Statuses that stale-if-error covers (RFC 5861 4). */
export function isOriginError(status: number): boolean {
  return status === 500 || status === 502 || status === 503 || status === 504;
}

/**
 * Judges a stored response for a request (RFC 9111 4.2, RFC 5861). A fresh hit costs two subtractions and parses nothing of the response.
 * @example const { verdict } = judge(stored, request.headers, now, policy)
 */
export function judge(stored: StoredResponse, request: Fields, now: number, policy: CachePolicy): Judgement {
  const remaining = remainingAt(stored, now);
  if (stored.withoutAuthorization && hasField(request, 'authorization')) return NOT_FOR_THEM;
  const lines = policy.clientDirectives ? fieldLines(request, 'cache-control') : [];
  if (lines.length === 0) {
    if (remaining > 0 && !stored.noCache) return FRESH;
    return judgeStale(stored, remaining, {});
  }
  const asked = parseCacheControl(lines);
  const judged = judgeAsked(stored, remaining, ageAt(stored, now), asked);
  if (!asked.onlyIfCached) return judged;
  if (judged.verdict === 'revalidate') return { ...judged, verdict: 'gateway-timeout' };
  return judged.isRefreshDue ? { ...judged, isRefreshDue: false } : judged;
}

/**
 * Whether an answer just fetched for one request may also be given to another that waited for it (RFC 9111 4): as any other stored response.
 * Where it may not, as where it is not storable at all, the other goes forward itself (`collapsed=?0`).
 */
export function isShareable(stored: StoredResponse, request: Fields, now: number, policy: CachePolicy): boolean {
  if (stored.vary && !selects(stored.vary, request, policy)) return false;
  const { verdict } = judge(stored, request, now, policy);
  return verdict === 'fresh' || verdict === 'stale';
}

/** What to answer to a request for which nothing is stored: 504 if it says `only-if-cached`, else it goes forward. */
export function judgeMiss(request: Fields, policy: CachePolicy): 'forward' | 'gateway-timeout' {
  if (!policy.clientDirectives) return 'forward';
  const lines = fieldLines(request, 'cache-control');
  return lines.length > 0 && parseCacheControl(lines).onlyIfCached ? 'gateway-timeout' : 'forward';
}

function judgeAsked(stored: StoredResponse, remaining: number, age: number, asked: Directives): Judgement {
  const isTooOld = asked.maxAge !== undefined && age > asked.maxAge * 1000;
  const isTooStale = remaining > 0 && asked.minFresh !== undefined && remaining < asked.minFresh * 1000;
  if (asked.noCache || asked.noStore || isTooOld || isTooStale)
    return revalidation(stored, remaining, 'request', asked);
  return remaining > 0 && !stored.noCache ? FRESH : judgeStale(stored, remaining, asked);
}

function judgeStale(stored: StoredResponse, remaining: number, asked: Directives): Judgement {
  if (stored.noCache) return revalidation(stored, remaining, 'no-cache', asked);
  const isUsableOnError = usableOnError(stored, remaining, asked);
  if (-remaining < stored.staleWhileRevalidate && !asked.minFresh)
    return { verdict: 'stale', because: 'stale', isRefreshDue: true, isUsableOnError };
  if (!stored.mustRevalidate && asked.maxStale !== undefined && -remaining <= asked.maxStale * 1000)
    return { verdict: 'stale', because: 'stale', isRefreshDue: false, isUsableOnError };
  return { verdict: 'revalidate', because: 'stale', isRefreshDue: false, isUsableOnError };
}

function revalidation(
  stored: StoredResponse,
  remaining: number,
  because: 'request' | 'no-cache',
  asked: Directives,
): Judgement {
  return {
    verdict: 'revalidate',
    because,
    isRefreshDue: false,
    isUsableOnError: because === 'request' && !asked.noCache && usableOnError(stored, remaining, asked),
  };
}

function usableOnError(stored: StoredResponse, remaining: number, asked: Directives): boolean {
  if (stored.noCache) return false;
  if (remaining > 0) return true;
  if (stored.mustRevalidate) return false;
  return -remaining < Math.max(stored.staleIfError, (asked.staleIfError ?? 0) * 1000);
}
