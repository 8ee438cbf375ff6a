import type { Http2ServerRequest } from 'node:http2';
import type { CacheKey, KeyPart } from '../../core/cache.options.js';
import { credentials, settingFor, varyOf, type CompiledPolicy } from '../policy/compiled.policy.js';
import type { Covers } from '../policy/input-name.js';
import type { RequestView } from '../policy/request-view.js';
import { TrackingView } from '../policy/tracking.view.js';
import { Bypass, type BypassReason } from './bypass.js';
import { partOf } from './key-text.js';
import { hostPart } from './origin-part.js';

/** Where a response is kept, and what that says about it. */
export interface PageKey {
  readonly key: CacheKey;
  /** `public` follows the rules of shared caches, `principal` those of private ones. */
  readonly partition: 'public' | 'principal';
  readonly covers: Covers;
  /** Request headers the key depends on, for `Vary`. */
  readonly vary: readonly string[];
  /** Labels that the key itself gives the entry. */
  readonly tags: readonly string[];
  /** The request carries `Authorization`, and headers decide whether that forbids sharing (RFC 9111 3.5): in `rfc` mode only. */
  readonly isAuthorized: boolean;
}

export interface BypassedPage {
  readonly bypass: BypassReason;
}

/**
 * The key of a call under a policy, or why it has none. HEAD has the key of GET. Two calls that differ in anything the policy covers, in
 * scheme, host, API version, handler (unless its key leaves it out), principal or kind never have one key.
 * @throws CacheUsageError if a function of the policy answers nonsense
 */
export function pageKeyOf(view: RequestView, policy: CompiledPolicy): PageKey | BypassedPage {
  const refused = refusalOf(view, policy);
  return refused === undefined ? keyUnder(view, policy) : { bypass: refused };
}

/** As {@link pageKeyOf}, of a call that is not refused. */
export function keyUnder(view: RequestView, policy: CompiledPolicy): PageKey | BypassedPage {
  const tracking = policy.isLearned ? new TrackingView(view) : undefined;
  const method = view.kind === 'http' ? 'GET' : view.method;
  // Handlers may share entries, API versions never do.
  const origin = [view.protocol, hostPart(view), view.identity.versions];
  const parts: KeyPart[] = [policy.kind, view.kind, method, ...origin];
  const { contextPayload } = view;
  if (contextPayload !== undefined) {
    const part = partOf(contextPayload);
    if (part instanceof Bypass) return { bypass: part.reason };
    parts.push(['context', part]);
  }
  if (policy.keyFunction !== undefined) {
    const part = ofFunction(policy.keyFunction, tracking as TrackingView);
    if (part instanceof Bypass) return { bypass: part.reason };
    parts.push(part);
  }
  for (const component of policy.components) {
    const part = component.read(component.isLearned && tracking !== undefined ? tracking : view);
    if (part instanceof Bypass) return { bypass: part.reason };
    parts.push(part);
  }
  const asked = tracking === undefined ? policy.covers : learned(policy, tracking);
  const covers = contextPayload === undefined ? asked : withContext(asked);
  return {
    key: parts,
    partition: policy.isPrincipal ? 'principal' : 'public',
    covers,
    vary: covers === policy.covers ? policy.vary : varyOf(covers.names),
    tags: policy.keyTags,
    isAuthorized: view.headers.authorization !== undefined,
  };
}

/** Why a call is not looked up at all, whatever its key. */
export function refusalOf(view: RequestView, policy: CompiledPolicy): BypassReason | undefined {
  if (!isSafe(view)) return 'method';
  if (view.kind === 'http' && hasBody(view)) return 'body';
  if (settingFor(policy.bypass, view)) return 'policy';
  if (!policy.isPrincipal && saysWho(view, policy) && !settingFor(policy.public, view)) return 'credentials';
  return undefined;
}

function isSafe({ kind, method, context }: RequestView): boolean {
  if (kind === 'http') return method === 'GET' || method === 'HEAD';
  // A field of another object depends on that object; a mutation and a subscription are not questions.
  return kind !== 'graphql' || (method === 'QUERY' && isOfNothing(context));
}

/** A field of the query itself, whose object is nothing, or an empty one (Mercurius). */
function isOfNothing(context: RequestView['context']): boolean {
  const root = context.getArgByIndex<unknown>(0) ?? undefined;
  const info = context.getArgByIndex<{ readonly path?: { readonly prev?: unknown } } | undefined>(3);
  if (root === undefined) return true;
  return typeof root === 'object' && Object.keys(root).length === 0 && info?.path?.prev === undefined;
}

function hasBody({ headers, raw }: RequestView): boolean {
  const length = headers['content-length'];
  // HTTP/2 needs no field for it.
  if (raw?.httpVersionMajor === 2) return (raw as unknown as Http2ServerRequest).stream?.endAfterHeaders === false;
  return headers['transfer-encoding'] !== undefined || (length !== undefined && !/^0+$/.test(length));
}

/** In `rfc` mode the response's headers decide about `Authorization` (RFC 9111 3.5). */
function saysWho(view: RequestView, policy: CompiledPolicy): boolean {
  if (view.user !== undefined && view.user !== null) return true;
  const { headers } = view;
  if (policy.mode === 'ttl' && (headers.authorization ?? headers['proxy-authorization']) !== undefined) return true;
  return headers.cookie !== undefined && policy.sessionCookies.some((name) => view.cookie(name).length > 0);
}

function ofFunction(key: NonNullable<CompiledPolicy['keyFunction']>, view: TrackingView): KeyPart | Bypass {
  const { controller, handler, request, params, context } = view;
  const part = key({ controller, handler, request, params, view, context });
  return part === undefined || part === '' ? new Bypass('key') : partOf(part);
}

/** No property of a request has this name, and no cache in front can tell what it stands for. */
function withContext(covers: Covers): Covers {
  return { ...covers, names: new Set([...covers.names, 'request:(context)' as const]) };
}

/** A function may look at a part of who asks only, at the tenant of a user: what says the rest is not covered by that. */
function learned({ covers, sessionCookies }: CompiledPolicy, { seen }: TrackingView): Covers {
  const personal = credentials(sessionCookies);
  return { ...covers, names: new Set([...covers.names, ...[...seen].filter((name) => !personal.has(name))]) };
}
