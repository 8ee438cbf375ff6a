import {
  cachePolicy,
  storable,
  type CachePolicy,
  type CachePolicyOptions,
  type Exchange,
  type Fields,
  type StoredResponse,
} from '../../src/http-semantics/index.js';

/** 2026-11-21T08:00:00Z: the moment at which the exchanges of these tests take place. */
export const NOW = Date.UTC(2026, 10, 21, 8);

export const SECOND = 1000;

/** An HTTP-date so many seconds from {@link NOW}. */
export function date(seconds = 0): string {
  return new Date(NOW + seconds * SECOND).toUTCString();
}

export interface ExchangeOptions {
  readonly method?: string;
  readonly request?: Fields;
  readonly status?: number;
  readonly headers?: Fields;
  readonly at?: number;
  readonly delay?: number;
  readonly body?: Exchange['body'];
}

/** A GET answered 200 at once, unless told otherwise. */
export function exchange(options: ExchangeOptions = {}): Exchange {
  const receivedAt = options.at ?? NOW;
  return {
    request: { method: options.method ?? 'GET', headers: options.request ?? {} },
    response: { status: options.status ?? 200, headers: options.headers ?? {} },
    requestedAt: receivedAt - (options.delay ?? 0),
    receivedAt,
    ...(options.body && { body: options.body }),
  };
}

export const rfcShared = cachePolicy({ mode: 'rfc', view: 'shared' });
export const rfcPrivate = cachePolicy({ mode: 'rfc', view: 'private' });
export const ttlShared = cachePolicy({ mode: 'ttl', view: 'shared', freshFor: 60_000 });
export const ttlPrivate = cachePolicy({ mode: 'ttl', view: 'private', freshFor: 60_000 });

export function ttl(options: Partial<CachePolicyOptions>): CachePolicy {
  return cachePolicy({ mode: 'ttl', view: 'shared', freshFor: 60_000, ...options });
}

export function rfc(options: Partial<CachePolicyOptions>): CachePolicy {
  return cachePolicy({ mode: 'rfc', view: 'shared', ...options });
}

/** Why it is not stored, or `'stored'`. */
export function outcome(options: ExchangeOptions, policy: CachePolicy): string {
  const made = storable(exchange(options), policy);
  return made.isStorable ? 'stored' : made.reason;
}

/** Stores it, through JSON as an envelope would. */
export function stored(options: ExchangeOptions, policy: CachePolicy): { stored: StoredResponse; headers: Fields } {
  const made = storable(exchange(options), policy);
  if (!made.isStorable) throw new Error(`not storable: ${made.reason}`);
  return JSON.parse(JSON.stringify({ stored: made.stored, headers: made.headers })) as {
    stored: StoredResponse;
    headers: Fields;
  };
}
