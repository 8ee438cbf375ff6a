import type { Type } from '@nestjs/common';
import type { ExecutionContext } from '@nestjs/common';
import type { CacheKey, KeyPart } from '../../core/cache.options.js';
import type { Lifetime } from '../../core/clock/duration.js';
import type { KeyComponent } from '../keys/key-component.js';
import type { PrincipalId } from '../keys/principal.components.js';
import type { Fields, RequestView } from './request-view.js';

/** A fixed setting, or a function of the call. Functions answer at once: none may return a promise. */
export type OfContext<T> = T | ((view: RequestView) => T);

/** What a handler has answered, as far as it is known when a policy is asked. */
export interface Answer<V = unknown> {
  /** What the handler returned, be it by a promise or an Observable. */
  readonly value: V;
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** What a custom key function is told; what it looks at counts as part of the key. */
export interface KeyContext {
  readonly controller: Type;
  readonly handler: (...args: never[]) => unknown;
  readonly request: Fields;
  readonly params: Fields;
  readonly view: RequestView;
  readonly context: ExecutionContext;
}

/** An AsyncLocalStorage, of whatever. */
export interface ContextStorage {
  getStore(): unknown;
}

/** A function written for a narrower value than is known here. */
type Of<V, R> = { of(value: V, view: RequestView): R }['of'];

/**
 * How responses are cached. Module-wide base, named policies and decorators are laid over each other, the later winning field by field.
 */
export interface ResponseCachePolicy {
  /** A named policy of the module to start from; on decorators only. */
  extends?: string;
  /** Who says how long a response is fresh: this policy, or the response's headers (RFC 9111). Default `ttl`. Whole responses only. */
  mode?: 'ttl' | 'rfc';
  /** Hard lifetime; `0` stores nothing. Default: the namespace's. */
  ttl?: OfContext<Lifetime>;
  /** After it the response is stale. Default: `ttl`. */
  freshFor?: OfContext<Lifetime>;
  /** How long after it became stale a response is still served while it is refreshed in the background (RFC 5861 3). Default 0. */
  staleWhileRevalidate?: OfContext<Lifetime>;
  /** How long after it became stale a response is still served if the handler fails (RFC 5861 4). Default 0. */
  staleIfError?: OfContext<Lifetime>;
  /** Lifetime of answers that say there is nothing: 404, 410. Default: they are not stored. Whole responses only. */
  negativeTtl?: OfContext<Lifetime>;
  /** How long the handler may run to fill an entry. Default `'forever'`. */
  hardTimeout?: OfContext<Lifetime>;

  /**
   * What tells one response from another, besides the origin (scheme and host), the principal, `vary` and `cookies`, which always do.
   * Default `[byRoute(), byParams(), byQuery('*')]`. A function gives the whole of it, alone.
   */
  key?: readonly KeyComponent[] | ((call: KeyContext) => CacheKey | KeyPart);
  /** Who asks. Requests of nobody go past the cache; those of others share nothing. */
  principal?: (view: RequestView) => PrincipalId;
  /** Request headers of which each value has a response of its own. */
  vary?: OfContext<readonly string[]>;
  /** Cookies of which each value has a response of its own. The handler sees no others while it fills an entry. */
  cookies?: readonly string[];
  /** Cookies that mark a request as somebody's. Default `connect.sid`, `session`, `sessionId`, `sid`; in `rfc` mode none. */
  sessionCookies?: readonly string[];
  /**
   * Request inputs that the handler reads and no part of the key covers: headers become part of the key, anything else keeps the response
   * from being stored. `false`: they are neither seen nor judged. `ignore`: inputs that do not change the response, e.g. `['header:user-agent', 'ip']`.
   * `ignoreContexts`: instances of AsyncLocalStorage of which the same is true, a logger's, say; `ignore: ['context']`: all of them. Default `true`.
   */
  autoVary?: boolean | { readonly ignore?: readonly string[]; readonly ignoreContexts?: readonly ContextStorage[] };
  /**
   * Labels; invalidating one makes every response that carries it a miss. A function is called with what was answered: `@CachePage()` with
   * `{ value, status, headers }`, `@CacheResponse()` with the value.
   * @example tags: ({ value }: PageAnswer<Course[]>) => Course.listTags({ ids: value.map(({ id }) => id) })
   */
  tags?: readonly string[] | Of<never, readonly string[]>;

  /** Statuses that are stored. Default 200, 203, 301, 308 in `ttl` mode; in `rfc` mode all that RFC 9111 allows. */
  status?: OfContext<readonly number[]>;
  /** Longer bodies are passed on and not stored. Default 1 MiB. Whole responses only. */
  maxBytes?: OfContext<number>;
  /** Responses stored for one key whose auto-varied headers differ. Default 20. Whole responses only; values have one. */
  maxVariants?: OfContext<number>;
  /** `true` goes past the cache. Default: nothing does. */
  bypass?: OfContext<boolean>;
  /** `false` answers and stores nothing. Default: what the rules allow is stored. */
  shouldCache?: { of(answer: Answer<never>, view: RequestView): boolean }['of'];
  /** The cache namespace that keeps the responses. Default `http`. */
  namespace?: string;
  /** Whether a request's `Cache-Control` is obeyed. Default: in `rfc` mode only, since else any client could make the handler run. Whole responses only. */
  clientDirectives?: OfContext<boolean>;
  /** The `Cache-Control` sent to clients: `'auto'` promises what is kept, `false` leaves the handler's, or a value. Default `'auto'`. Whole responses only. */
  downstream?: OfContext<'auto' | false | (string & {})>;
  /** The response is for everybody, also for those who say who they are. Default `false`. */
  public?: OfContext<boolean>;
  /**
   * Hits in the memory tier are answered in front of the application, as by a cache before it: no middleware, no guard, no interceptor, no
   * filter and no request log sees them. What middleware adds (CORS, security headers) is stored with the page, except cookies. Needs
   * `public: true` and a key of path, query and headers; the route must be chosen by method, host, path and Nest's versioning alone (with
   * versions of type `CUSTOM` nothing is answered there). Default `false`. Whole responses only.
   */
  beforeGuards?: boolean;
}
