import type { Directives } from './fields/cache-control.js';
import { asPrivate } from './fields/private-cache-control.js';
import { fieldText, type Fields } from './fields/fields.js';
import type { CachePolicy } from './cache-policy.js';
import { ageAt, remainingAt, type Promised, type StoredResponse } from './stored-response.js';

/**
 * Works out, when storing, what may be promised on each hit. A shared cache in rfc mode repeats the origin's words: with `Age` they say what is
 * left. Anything else speaks for itself, never longer than the origin or the policy allows. What is for one client is `private`, whoever says it.
 */
export function promiseOf(headers: Fields, directives: Directives, policy: CachePolicy): Promised {
  const isPrivate = policy.promiseTo === 'client';
  const isVerbatim = policy.downstream !== undefined || (policy.mode === 'rfc' && policy.view === 'shared');
  if (isVerbatim) {
    const text = policy.downstream || fieldText(headers, 'cache-control');
    return { verbatim: isPrivate ? asPrivate(text) : (text ?? null) };
  }
  const cap = smallest(milliseconds(directives.maxAge), policy.promiseAtMost);
  const sharedCap = isPrivate ? undefined : milliseconds(directives.sMaxage);
  const head = isPrivate ? 'private, ' : directives.public ? 'public, ' : '';
  return {
    head: directives.noCache ? `${head}no-cache, ` : head,
    tail: tailOf(directives),
    ...(cap !== undefined && { cap }),
    ...(sharedCap !== undefined && { sharedCap }),
  };
}

/**
 * The Cache-Control to send with a stored response, `undefined` for none. With the `Age` of the same moment it never promises more than is
 * kept: `max-age` - `Age` is at most what is left (RFC 9111 4.2), and nothing once stale.
 * @example downstream(stored, now) // 'max-age=300, stale-while-revalidate=60'
 */
export function downstream(stored: StoredResponse, now: number): string | undefined {
  const { promise } = stored;
  if ('verbatim' in promise) return promise.verbatim ?? undefined;
  const remaining = remainingAt(stored, now);
  const age = Math.floor(ageAt(stored, now) / 1000);
  let text = `${promise.head}max-age=${lifetime(age, remaining, promise.cap)}`;
  if (promise.sharedCap !== undefined) text += `, s-maxage=${lifetime(age, remaining, promise.sharedCap)}`;
  const window = Math.floor(stored.staleWhileRevalidate / 1000);
  if (remaining > 0 && window > 0) text += `, stale-while-revalidate=${window}`;
  return text + promise.tail;
}

/** The value of `Age`, in whole seconds. */
export function ageSeconds(stored: StoredResponse, now: number): number {
  return Math.floor(ageAt(stored, now) / 1000);
}

/** Downstream subtracts `Age`, so it is added to what we grant from now on. */
function lifetime(age: number, remaining: number, cap: number | undefined): number {
  const granted = Math.floor(Math.max(0, cap === undefined ? remaining : Math.min(remaining, cap)) / 1000);
  return granted > 0 ? age + granted : 0;
}

function tailOf(directives: Directives): string {
  let tail = '';
  if (directives.mustRevalidate) tail += ', must-revalidate';
  if (directives.proxyRevalidate) tail += ', proxy-revalidate';
  if (directives.noTransform) tail += ', no-transform';
  if (directives.immutable) tail += ', immutable';
  return tail;
}

function milliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}

function smallest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b);
}
