import type { VarySelection } from './vary.js';

/**
 * All that judging a hit needs, worked out when the response was stored: no header is parsed again. Plain JSON, so that a driver can keep it
 * in its envelope, beside the fields and the body. Times are milliseconds of the clock that stored it.
 */
export interface StoredResponse {
  readonly status: number;
  /** When the response was made: now minus this is its age. */
  readonly bornAt: number;
  /** When it came here. */
  readonly receivedAt: number;
  readonly freshUntil: number;
  /** Windows after `freshUntil`, 0 where not permitted. */
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
  /** Nothing, no client either, permits its use once stale. */
  readonly mustRevalidate?: true;
  /** To be validated before each use. */
  readonly noCache?: true;
  /** Kept from requests with Authorization: the response does not say that it is for them as well (RFC 9111 3.5, both ways). */
  readonly withoutAuthorization?: true;
  readonly etag?: string;
  /** As the origin wrote it. */
  readonly lastModified?: string;
  readonly modifiedAt?: number;
  readonly date: number;
  readonly vary?: VarySelection;
  /** Groups it belongs to (RFC 9875): tags. */
  readonly groups?: readonly string[];
  readonly promise: Promised;
}

/** What may be said downstream: the origin's own words, or what is left of the lifetime between `head` and `tail`, at most `cap` ms. */
export type Promised =
  | { readonly verbatim: string | null }
  | { readonly head: string; readonly tail: string; readonly cap?: number; readonly sharedCap?: number };

/** Milliseconds of age. Never negative, whatever the clock did. */
export function ageAt(stored: StoredResponse, now: number): number {
  return Math.max(0, now - stored.bornAt);
}

/** Milliseconds of freshness left; negative once stale. Never more than the whole lifetime. */
export function remainingAt(stored: StoredResponse, now: number): number {
  return stored.freshUntil - Math.max(now, stored.bornAt);
}

/**
 * The last moment at which something permits its use without an answer from the origin. A driver that revalidates keeps it longer:
 * an entry with a validator saves a transfer at any age.
 */
export function usableUntil(stored: StoredResponse): number {
  return stored.freshUntil + Math.max(stored.staleWhileRevalidate, stored.staleIfError);
}

/** Soft invalidation: stale from now on, still usable where staleness is permitted (its windows start now). */
export function markStale(stored: StoredResponse, now: number): StoredResponse {
  return stored.freshUntil <= now ? stored : { ...stored, freshUntil: now };
}

/** Whether nobody but the client was told that it may keep it. */
export function isPromisedToClient({ promise }: StoredResponse): boolean {
  return ('verbatim' in promise ? (promise.verbatim ?? '') : promise.head).startsWith('private');
}
