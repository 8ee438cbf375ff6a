import type { IncomingHttpHeaders } from 'node:http';
import type { QueryAllowance } from '../keys/key-component.js';
import { pickQuery } from '../keys/query.components.js';
import type { CompiledPolicy } from './compiled.policy.js';
import { onlyCookies } from './cookie-header.js';
import type { Covers } from './input-name.js';
import { UNKEYED_HEADERS } from './input-lists.js';
import type { Fields, RequestView } from './request-view.js';

/** What the filling of an entry changes in a request, besides what its policy says. */
export interface FillOptions {
  /** Headers that the handler must not see, lower-case: `CONDITIONAL_HEADERS` for a fill. */
  readonly hide?: readonly string[];
  /** Headers as the handler shall see them: the validators of a stored response. */
  readonly set?: Readonly<Record<string, string>>;
}

/** The request headers as the handler sees them while it fills an entry. */
export function narrowHeaders(
  view: RequestView,
  policy: CompiledPolicy,
  covers: Covers,
  { hide = [], set }: FillOptions,
): IncomingHttpHeaders {
  const headers: IncomingHttpHeaders = { ...view.headers };
  for (const name of hidden(covers, hide)) delete headers[name];
  if (policy.cookies !== undefined) change(headers, 'cookie', onlyCookies(headers.cookie, isOf(policy.cookies)));
  for (const component of policy.components) {
    for (const [name, value] of Object.entries(component.rewrites?.(view) ?? {})) change(headers, name, value);
  }
  return Object.assign(headers, set);
}

/** Headers of which a handler sees the same whatever the client has sent, or no more than the key says. */
export function fixedHeaders(policy: CompiledPolicy, covers: Covers, { hide = [], set = {} }: FillOptions): string[] {
  return [...hidden(covers, hide), ...Object.keys(set), ...(policy.cookies === undefined ? [] : ['cookie'])];
}

/** The query as the handler sees it; `undefined` if that is all of it. */
export function narrowQuery(view: RequestView, policy: CompiledPolicy): Fields | undefined {
  return policy.query && pickQuery(view.query, policy.query.allow, policy.query.defaults);
}

/** A request target that says no more than the narrowed query does, spelled alike for all requests of one key. */
export function narrowUrl(url: string, query: Fields): string {
  const end = url.indexOf('?');
  const path = end === -1 ? url : url.slice(0, end);
  const pairs = Object.entries(query).flatMap(([name, value]) => spelled(encodeURIComponent(name), value));
  return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`;
}

/** Cookies that middleware has parsed, these only. */
export function narrowCookies(cookies: Fields, names: readonly string[]): Fields {
  const kept = Object.create(null) as Record<string, unknown>;
  for (const name of names) if (Object.hasOwn(cookies, name)) kept[name] = cookies[name];
  return kept;
}

/** Parameters a route declares that its handler never gets to see. */
export function hiddenFrom(allowance: QueryAllowance, declared: Iterable<string>): string[] {
  const seen = new Set([...allowance.allow, ...allowance.ignore]);
  return [...declared].filter((name) => !seen.has(name));
}

function hidden(covers: Covers, hide: readonly string[]): string[] {
  return [...hide, ...[...UNKEYED_HEADERS].filter((name) => !covers.names.has(`header:${name}`))];
}

function spelled(name: string, value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => spelled(name, item));
  if (typeof value === 'object' && value !== null)
    return Object.entries(value).flatMap(([key, item]) => spelled(`${name}[${encodeURIComponent(key)}]`, item));
  return [`${name}=${encodeURIComponent(String(value))}`];
}

function change(headers: IncomingHttpHeaders, name: string, value: string | undefined): void {
  if (value === undefined) delete headers[name];
  else headers[name] = value;
}

function isOf(names: readonly string[]): (name: string) => boolean {
  return (name) => names.includes(name);
}
