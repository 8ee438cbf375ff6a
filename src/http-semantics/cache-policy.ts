/** What a driver asks of the engine. Times in milliseconds; those that headers carry are converted. */
export interface CachePolicyOptions {
  /** `rfc`: headers decide. `ttl`: `freshFor` decides, and a response's opt-outs still win. */
  readonly mode: 'rfc' | 'ttl';
  /** `shared`: anybody may get the response. `private`: one principal, whose name is in the key. */
  readonly view: 'shared' | 'private';
  /** Lifetime in ttl mode; in rfc mode that of a response which says nothing about it. Default 0: not stored. */
  readonly freshFor?: number;
  /** How long a stale response may be sent while a new one is fetched. In rfc mode the default where headers are silent. Default 0. */
  readonly staleWhileRevalidate?: number;
  /** How long a stale response may be sent in place of an error. In rfc mode the default where headers are silent. Default 0. */
  readonly staleIfError?: number;
  /** rfc mode: bounds on the lifetime that headers give. Explicit opt-outs are not lifetimes and win. */
  readonly atLeast?: number;
  readonly atMost?: number;
  /** Statuses that `freshFor` is for; in ttl mode no others are stored. Default 200, 203, 301, 308: other redirects are meant for one caller (a login, say). */
  readonly statuses?: readonly number[];
  /** Errors to which `freshFor` does not apply but a lifetime of their own. Default none; its statuses by default 404 and 410. */
  readonly negative?: { readonly freshFor: number; readonly statuses?: readonly number[] };
  /** Targeted fields (RFC 9213), first valid one wins. Default `cdn-cache-control` where shared, none where private. */
  readonly targets?: readonly string[];
  /** rfc mode: lifetime from Last-Modified. Default a tenth of the age, at most a day. */
  readonly heuristic?: { readonly fraction: number; readonly atMost: number } | false;
  /** Whether a request's `max-age`, `no-cache` ... are obeyed. Default in rfc mode only: in ttl mode any client could force work. */
  readonly clientDirectives?: boolean;
  /** A request with Authorization where shared. Default: in rfc mode only a response that allows it is stored, in ttl mode bypass. */
  readonly authorization?: 'rfc' | 'bypass' | 'ignore';
  /** A response with Set-Cookie. Default `refuse`; `strip` stores it without. Never replayed. */
  readonly setCookie?: 'refuse' | 'strip';
  /** Whether `text/event-stream` may be stored. Default false. */
  readonly cacheStreams?: boolean;
  /** Largest body, in bytes. Default unlimited. */
  readonly maxBytes?: number;
  /**
   * How requests are compared by `Vary`. `exact`: lines joined and trimmed. `semantic`: also white space around commas, and order and
   * case in Accept-Language. Default semantic in rfc mode; exact in ttl mode, where a handler may tell apart what the RFC does not.
   */
  readonly varyMatch?: 'exact' | 'semantic';
  /** Content codings in use, best first: `Accept-Encoding` then counts only by which of them it accepts. Default: as any other field. */
  readonly codings?: readonly string[];
  /** The longest lifetime promised downstream. Default all of what is left. */
  readonly promiseAtMost?: number;
  /** The Cache-Control sent downstream: this value, or with `false` the response's own. Default what is kept, and no more. */
  readonly downstream?: false | string;
  /** Who may keep it downstream: `client` where the URL and `Vary` do not say for whom it is. Default `anybody` where shared. */
  readonly promiseTo?: 'anybody' | 'client';
}

/** Every default filled in; made once per route or upstream, never per request. */
export type CachePolicy = Readonly<
  Required<Omit<CachePolicyOptions, 'negative' | 'codings' | 'promiseAtMost' | 'downstream'>> & {
    readonly negative: { readonly freshFor: number; readonly statuses: readonly number[] } | undefined;
    readonly codings: readonly string[] | undefined;
    readonly promiseAtMost: number | undefined;
    readonly downstream: false | string | undefined;
  }
>;

const DAY_MS = 86_400_000;

/**
 * Fills in the defaults. A lifetime for one request: `{ ...policy, freshFor }`.
 * @example cachePolicy({ mode: 'ttl', view: 'shared', freshFor: 60_000 })
 */
export function cachePolicy(options: CachePolicyOptions): CachePolicy {
  const isRfc = options.mode === 'rfc';
  return {
    mode: options.mode,
    view: options.view,
    freshFor: options.freshFor ?? 0,
    staleWhileRevalidate: options.staleWhileRevalidate ?? 0,
    staleIfError: options.staleIfError ?? 0,
    atLeast: options.atLeast ?? 0,
    atMost: options.atMost ?? Infinity,
    statuses: options.statuses ?? [200, 203, 301, 308],
    negative: options.negative && {
      freshFor: options.negative.freshFor,
      statuses: options.negative.statuses ?? [404, 410],
    },
    targets: (options.targets ?? (options.view === 'shared' ? ['cdn-cache-control'] : [])).map((name) =>
      name.toLowerCase(),
    ),
    heuristic: options.heuristic ?? (isRfc && { fraction: 0.1, atMost: DAY_MS }),
    clientDirectives: options.clientDirectives ?? isRfc,
    authorization: options.authorization ?? (isRfc ? 'rfc' : 'bypass'),
    setCookie: options.setCookie ?? 'refuse',
    cacheStreams: options.cacheStreams ?? false,
    maxBytes: options.maxBytes ?? Infinity,
    varyMatch: options.varyMatch ?? (isRfc ? 'semantic' : 'exact'),
    codings: options.codings,
    promiseAtMost: options.promiseAtMost,
    downstream: options.downstream,
    promiseTo: options.promiseTo ?? (options.view === 'shared' ? 'anybody' : 'client'),
  };
}
