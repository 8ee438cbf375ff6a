import { deltaSeconds, MAX_SECONDS } from './fields/cache-control.js';
import { fieldLines, fieldText, type Fields } from './fields/fields.js';
import { parseHttpDate } from './fields/http-date.js';
import type { CachePolicy } from './cache-policy.js';
import type { ResponseDirectives } from './response-directives.js';

/** When a request was sent and its response head arrived, in milliseconds of the caller's clock. */
export interface Timing {
  readonly requestedAt: number;
  readonly receivedAt: number;
}

/** Statuses that may be given a lifetime by heuristics (RFC 9110 15.1), without 206, which is never stored. */
export const HEURISTIC_STATUSES: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]);

const MAX_MS = MAX_SECONDS * 1000;

/** A lifetime in ms, and whether the response itself stated one. */
export interface Lifetime {
  readonly ms: number;
  readonly isExplicit: boolean;
}

/** When the response was made, by its own account; when it came, if it does not say (RFC 9110 6.6.1). */
export function dateOf(headers: Fields, timing: Timing): number {
  return parseHttpDate(fieldText(headers, 'date'), timing.receivedAt) ?? timing.receivedAt;
}

/** The age on arrival, in ms: what `Date` and `Age` tell, the older of both (RFC 9111 4.2.3). */
export function initialAge(headers: Fields, timing: Timing): number {
  // In whole seconds, as dates are: what was made just now is not nearly a second old.
  const apparent = Math.max(0, Math.floor((timing.receivedAt - dateOf(headers, timing)) / 1000) * 1000);
  const delay = Math.max(0, timing.receivedAt - timing.requestedAt);
  const first = fieldLines(headers, 'age')[0]?.split(',', 1)[0]?.trim();
  const stated = first !== undefined && /^\d+$/.test(first) ? (deltaSeconds(first) as number) : 0;
  return Math.max(apparent, stated * 1000 + delay);
}

/** The lifetime that headers give, measured from birth: s-maxage where shared, max-age, Expires, heuristics (RFC 9111 4.2.1). */
export function lifetimeByHeaders(
  status: number,
  headers: Fields,
  { directives, isTargeted }: ResponseDirectives,
  timing: Timing,
  policy: CachePolicy,
): Lifetime {
  const stated =
    (policy.view === 'shared' ? directives.sMaxage : undefined) ??
    directives.maxAge ??
    (isTargeted ? undefined : secondsToExpiry(headers, timing));
  if (stated !== undefined) {
    const ms = Math.min(stated * 1000, MAX_MS);
    return { ms: Math.min(Math.max(ms, policy.atLeast), policy.atMost), isExplicit: true };
  }
  const silent = lifetimeByPolicy(status, policy);
  if (silent > 0) return { ms: bounded(silent, policy), isExplicit: false };
  const heuristic = byLastModified(headers, timing, policy);
  const applies = HEURISTIC_STATUSES.has(status) || directives.public === true;
  return { ms: applies ? bounded(heuristic, policy) : 0, isExplicit: false };
}

/** The lifetime that the policy gives a status, 0 where it gives none: errors live only by negative caching. */
export function lifetimeByPolicy(status: number, { statuses, freshFor, negative }: CachePolicy): number {
  if (statuses.includes(status)) return freshFor;
  return negative?.statuses.includes(status) ? negative.freshFor : 0;
}

/** Bounds a lifetime by the policy and by what fits in JSON and headers. */
export function bounded(ms: number, policy: CachePolicy): number {
  return Math.min(Math.max(ms, policy.atLeast), policy.atMost, MAX_MS);
}

/** `Expires` - `Date`; 0, long past, where it is no date or two different ones (RFC 9111 5.3). */
function secondsToExpiry(headers: Fields, timing: Timing): number | undefined {
  const lines = new Set(fieldLines(headers, 'expires'));
  if (lines.size === 0) return undefined;
  const [line] = lines;
  const at = lines.size === 1 ? parseHttpDate(line, timing.receivedAt) : undefined;
  return at === undefined ? 0 : Math.max(0, (at - dateOf(headers, timing)) / 1000);
}

function byLastModified(headers: Fields, timing: Timing, policy: CachePolicy): number {
  if (!policy.heuristic) return 0;
  const modified = parseHttpDate(fieldText(headers, 'last-modified'), timing.receivedAt);
  if (modified === undefined) return 0;
  const elapsed = dateOf(headers, timing) - modified;
  return Math.min(Math.max(0, elapsed * policy.heuristic.fraction), policy.heuristic.atMost);
}
