/** What `canForceMiss` is told. */
export interface ForceMissContext {
  /** The request as guards see it (Express `Request`, `FastifyRequest`), e.g. with the `user` that an authentication guard put there. */
  readonly request: ForceMissRequest;
}

/** The request of Express or Fastify, as far as it is known here. */
export interface ForceMissRequest {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly url?: string | undefined;
  readonly [property: string]: unknown;
}

/**
 * Lets authorised callers skip the memory and remote tiers for one request, which refreshes them for everybody. The wish is
 * expressed by a header or a query parameter whose value is `true` in any case; it is never part of a key.
 * @example { canForceMiss: ({ request }) => (request.user as User).isStaff }
 */
export interface ForceMissOptions {
  /** Name of the header, or `false` for none. Default `x-force-cache-miss`. */
  header?: string | false;
  /** Name of the query parameter, or `false` for none. Default `force_cache_miss`. */
  query?: string | false;
  /**
   * Whether this caller may. Only asked for requests that wish it, when something is first read and therefore after guards;
   * asked again at later reads while the answer is no. Anything but `true`, and an exception, means no.
   */
  canForceMiss(context: ForceMissContext): boolean;
}

/** The question a request scope asks at its first read. */
export function forceMissCheck(options: ForceMissOptions): (request: ForceMissRequest) => boolean {
  const wishes = forceMissWish(options);
  return (request) => {
    if (!wishes(request)) return false;
    try {
      return options.canForceMiss({ request }) === true;
    } catch {
      return false;
    }
  };
}

/** Whether a request says that it wants to skip tiers; not whether it may. */
export function forceMissWish(options: ForceMissOptions): (request: ForceMissRequest) => boolean {
  const header = (options.header ?? 'x-force-cache-miss') || undefined;
  const query = (options.query ?? 'force_cache_miss') || undefined;
  return (request) => says(request, header?.toLowerCase(), query);
}

function says(request: ForceMissRequest, header: string | undefined, query: string | undefined): boolean {
  if (header !== undefined && isTrue(request.headers?.[header])) return true;
  if (query === undefined) return false;
  const url = typeof request.originalUrl === 'string' ? request.originalUrl : (request.url ?? '');
  const start = url.indexOf('?');
  return start >= 0 && isTrue(new URLSearchParams(url.slice(start)).get(query));
}

function isTrue(value: unknown): boolean {
  return typeof value === 'string' && value.trim().toLowerCase() === 'true';
}
