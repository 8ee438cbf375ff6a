import type { CacheKey, KeyPart } from '../../core/cache.options.js';
import { lifetimeMs, type Lifetime } from '../../core/clock/duration.js';
import { isFieldName } from '../../http-semantics/fields/field-name.js';
import { HandlerContexts } from '../contexts/handler-contexts.js';
import { byCookies, byHeaders } from '../keys/header.components.js';
import type { KeyComponent, QueryAllowance } from '../keys/key-component.js';
import { principalPart } from '../keys/principal.components.js';
import { byQuery } from '../keys/query.components.js';
import { byParams, byRoute } from '../keys/route.components.js';
import type { Covers, InputName } from './input-name.js';
import { CREDENTIAL_HEADERS, SESSION_COOKIES } from './input-lists.js';
import { OF_CONTEXT, policyChecks, validateWhole } from './policy.validation.js';
import type { Answer, KeyContext, OfContext, ResponseCachePolicy } from './response-cache.policy.js';
import type { RequestView } from './request-view.js';
import { untracked } from './tracking.view.js';

const MEBIBYTE = 1_048_576;
const NOTHING: ReadonlySet<InputName> = new Set();

/** `page`: bytes as they went over the wire. `value`: what the handler returned, on any transport. */
export type CacheKind = 'page' | 'value';

/**
 * The policy of one handler, computed once: layers merged, defaults applied, durations in milliseconds. A field that was given as a function
 * is still one, whose answers are checked and converted; read such fields with {@link settingFor}.
 */
export interface CompiledPolicy {
  readonly kind: CacheKind;
  /** For messages: `BooksController.list`. */
  readonly where: string;
  readonly mode: 'ttl' | 'rfc';
  readonly ttl: OfContext<number> | undefined;
  readonly freshFor: OfContext<number> | undefined;
  readonly staleWhileRevalidate: OfContext<number>;
  readonly staleIfError: OfContext<number>;
  readonly negativeTtl: OfContext<number> | undefined;
  readonly hardTimeout: OfContext<number>;
  readonly components: readonly KeyComponent[];
  /** In place of the components that tell responses apart. */
  readonly keyFunction: ((call: KeyContext) => CacheKey | KeyPart) | undefined;
  readonly isPrincipal: boolean;
  /** What the components cover in every request. */
  readonly covers: Covers;
  /** Whether what the functions look at must be found out in each request. */
  readonly isLearned: boolean;
  /** Request headers for `Vary`. */
  readonly vary: readonly string[];
  /** Only these parameters reach the handler; undefined for all. */
  readonly query: QueryAllowance | undefined;
  /** Only these cookies reach the handler; undefined for all. */
  readonly cookies: readonly string[] | undefined;
  readonly sessionCookies: readonly string[];
  readonly autoVary: boolean;
  readonly ignoredReads: ReadonlySet<string>;
  /** `undefined`: what AsyncLocalStorages hold does not change the response. */
  readonly contexts: HandlerContexts | undefined;
  readonly keyTags: readonly string[];
  readonly tags: readonly string[] | ((value: never, view: RequestView) => readonly string[]);
  readonly status: OfContext<readonly number[]> | undefined;
  readonly maxBytes: OfContext<number>;
  readonly maxVariants: OfContext<number>;
  readonly bypass: OfContext<boolean>;
  readonly shouldCache: ((answer: Answer<never>, view: RequestView) => boolean) | undefined;
  readonly namespace: string;
  readonly clientDirectives: OfContext<boolean>;
  readonly downstream: OfContext<'auto' | false | (string & {})>;
  readonly public: OfContext<boolean>;
  readonly beforeGuards: boolean;
}

/** A setting for one call. */
export function settingFor<T>(setting: OfContext<T>, view: RequestView): T {
  return typeof setting === 'function' ? (setting as (view: RequestView) => T)(view) : setting;
}

/**
 * @param where names the handler in messages
 * @throws CacheUsageError for fields that contradict each other
 */
export function compilePolicy(policy: ResponseCachePolicy, kind: CacheKind, where: string): CompiledPolicy {
  validateWhole(policy, where);
  const { mode = 'ttl', autoVary = true, cookies } = policy;
  const sessionCookies = policy.sessionCookies ?? (mode === 'rfc' ? [] : SESSION_COOKIES);
  const components = componentsOf(policy, where);
  const names = namesCovered(components);
  const isPrincipal = components.some((component) => component.principal !== undefined);
  const isUser = components.some((component) => component.principal === 'user');
  const kept = [...new Set(components.flatMap((component) => component.cookies ?? []))];
  const narrowsCookies = cookies !== undefined || components.some((component) => component.cookies);
  return {
    kind,
    where,
    mode,
    ttl: duration(policy, 'ttl', where),
    freshFor: duration(policy, 'freshFor', where),
    staleWhileRevalidate: duration(policy, 'staleWhileRevalidate', where) ?? 0,
    staleIfError: duration(policy, 'staleIfError', where) ?? 0,
    negativeTtl: duration(policy, 'negativeTtl', where),
    hardTimeout: duration(policy, 'hardTimeout', where) ?? Infinity,
    components,
    keyFunction: typeof policy.key === 'function' ? policy.key : undefined,
    isPrincipal,
    covers: { names, isPrincipal, standsFor: isUser ? credentials(sessionCookies) : NOTHING },
    isLearned: typeof policy.key === 'function' || components.some((component) => component.isLearned),
    vary: varyOf(names),
    query: allowanceOf(components),
    // A user stands for its session's cookie, which its handler may need.
    cookies: narrowsCookies ? [...kept, ...(isUser ? sessionCookies : [])] : undefined,
    sessionCookies,
    autoVary: autoVary !== false,
    ignoredReads: new Set(typeof autoVary === 'object' ? autoVary.ignore : []),
    contexts: contextsOf(autoVary, !components.some(({ name }) => name === 'route')),
    keyTags: components.flatMap((component) => component.tags ?? []),
    tags: policy.tags ?? [],
    status: checked(policy, 'status', where),
    maxBytes: checked(policy, 'maxBytes', where) ?? MEBIBYTE,
    maxVariants: checked(policy, 'maxVariants', where) ?? 20,
    bypass: checked(policy, 'bypass', where) ?? false,
    shouldCache: policy.shouldCache,
    namespace: policy.namespace ?? 'http',
    clientDirectives: checked(policy, 'clientDirectives', where) ?? mode === 'rfc',
    downstream: checked(policy, 'downstream', where) ?? 'auto',
    public: checked(policy, 'public', where) ?? false,
    beforeGuards: policy.beforeGuards ?? false,
  };
}

/** Headers on which a client's cache must distinguish responses, too. Functions may ask for names that none can have. */
export function varyOf(names: Iterable<InputName>): string[] {
  const vary = new Set<string>();
  for (const name of names) {
    const header = name.startsWith('header:') ? name.slice('header:'.length) : undefined;
    if (header !== undefined && isFieldName(header)) vary.add(header);
    else if (name.startsWith('cookie:')) vary.add('cookie');
  }
  return [...vary].sort();
}

function componentsOf(policy: ResponseCachePolicy, where: string): KeyComponent[] {
  const { principal } = policy;
  const components: KeyComponent[] = Array.isArray(policy.key)
    ? [...(policy.key as readonly KeyComponent[])]
    : typeof policy.key === 'function'
      ? []
      : [byRoute(), byParams(), byQuery('*')];
  const vary = checked(policy, 'vary', where);
  if (typeof vary === 'function') {
    // What only decides about the list is not part of the key.
    const names = vary as (view: RequestView) => readonly string[];
    const read = (view: RequestView): KeyPart =>
      names(untracked(view)).map((name): KeyPart => [name, byHeaders(name).read(view) as KeyPart]);
    components.push({ name: 'vary', covers: [], isLearned: true, read });
  } else if (vary !== undefined && vary.length > 0) components.push(byHeaders(...vary));
  if (policy.cookies !== undefined && policy.cookies.length > 0) components.push(byCookies(...policy.cookies));
  if (principal !== undefined)
    components.push({
      name: 'principal',
      covers: ['request:user'],
      isLearned: true,
      principal: 'user',
      read: (view) => principalPart(principal(view)),
    });
  return components;
}

function contextsOf(
  autoVary: NonNullable<ResponseCachePolicy['autoVary']>,
  sharesPages: boolean,
): HandlerContexts | undefined {
  const { ignore = [], ignoreContexts = [] } = typeof autoVary === 'object' ? autoVary : {};
  if (autoVary === false || ignore.includes('context')) return undefined;
  return new HandlerContexts(new Set(ignoreContexts), sharesPages);
}

/** What tells who asks. */
export function credentials(sessionCookies: readonly string[]): Set<InputName> {
  return new Set<InputName>([
    ...[...CREDENTIAL_HEADERS].map((name) => `header:${name}` as const),
    ...sessionCookies.map((name) => `cookie:${name}` as const),
    'request:user',
    'request:session',
    'request:auth',
    // Passport's, who is signed in at all.
    'request:isAuthenticated',
    'request:isUnauthenticated',
  ]);
}

function namesCovered(components: readonly KeyComponent[]): Set<InputName> {
  const names = new Set(components.flatMap((component) => component.covers));
  // The target consists of path and query; a narrowed query is narrowed there as well.
  if (names.has('param:*') && names.has('query:*')) names.add('url');
  return names;
}

function allowanceOf(components: readonly KeyComponent[]): QueryAllowance | undefined {
  const covering = components.filter((component) => component.covers.includes('query:*'));
  if (covering.length === 0 || covering.some((component) => component.query === undefined)) return undefined;
  const all = covering.map((component) => component.query as QueryAllowance);
  return {
    allow: [...new Set(all.flatMap(({ allow }) => allow))].sort(),
    defaults: Object.assign({}, ...all.map(({ defaults }) => defaults)) as Record<string, string>,
    ignore: all.flatMap(({ ignore }) => ignore),
  };
}

type Name = keyof ResponseCachePolicy & keyof typeof policyChecks;
type Constant<N extends Name> = Exclude<NonNullable<ResponseCachePolicy[N]>, (view: RequestView) => unknown>;

function checked<N extends Name>(
  policy: ResponseCachePolicy,
  name: N,
  where: string,
): OfContext<Constant<N>> | undefined {
  const setting = policy[name] as OfContext<Constant<N>> | undefined;
  if (typeof setting !== 'function' || !OF_CONTEXT.has(name)) return setting;
  return (view: RequestView) => {
    const value = (setting as (view: RequestView) => Constant<N>)(view);
    policyChecks[name](value, `${where}.${name}()`);
    return value;
  };
}

type DurationName = 'ttl' | 'freshFor' | 'staleWhileRevalidate' | 'staleIfError' | 'negativeTtl' | 'hardTimeout';

function duration(policy: ResponseCachePolicy, name: DurationName, where: string): OfContext<number> | undefined {
  const setting: OfContext<Lifetime> | undefined = policy[name];
  if (setting === undefined) return undefined;
  if (typeof setting !== 'function') return lifetimeMs(setting, `${where}.${name}`);
  return (view) => lifetimeMs(setting(view), `${where}.${name}()`);
}
