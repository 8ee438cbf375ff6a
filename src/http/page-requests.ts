import { durationMs } from '../core/clock/duration.js';
import { cachePolicy, type CachePolicy } from '../http-semantics/cache-policy.js';
import type { Fields } from '../http-semantics/fields/fields.js';
import { encodeKey } from '../core/keys/key-encoding.js';
import { pageKeyOf, type PageKey } from './keys/page-key.js';
import type { BypassReason } from './keys/bypass.js';
import type { InputGuard, PageRequest } from './page-request.js';
import { settingFor, type CompiledPolicy } from './policy/compiled.policy.js';
import { CONDITIONAL_HEADERS } from './policy/input-lists.js';
import { judgeReads } from './policy/judge-reads.js';
import { recordReads } from './policy/record-reads.js';
import type { RequestView } from './policy/request-view.js';

/** Lifetimes beyond this are for ever, as far as dates in headers can say. */
const LONGEST_MS = 10 * 365 * 86_400_000;
const DEFAULT_TTL_MS = 30 * 60_000;
/** A page with a validator is confirmed more cheaply than made again. */
const KEEP_TO_CONFIRM_MS = 86_400_000;

/** Puts together what the policies of a handler say about one request. */
export class PageRequests {
  private readonly constants = new WeakMap<CompiledPolicy, CachePolicy>();

  constructor(private readonly cacheName: string) {}

  of(view: RequestView, policy: CompiledPolicy): PageRequest | { readonly bypass: BypassReason } {
    const key = pageKeyOf(view, policy);
    if ('bypass' in key) return key;
    const semantics = this.semanticsOf(view, policy);
    let tags: readonly string[] | undefined;
    return {
      context: view.context,
      // A string that is looked up in memory as it is.
      place: { primary: `p${encodeKey(key.key)}`, headers: view.headers as Fields, semantics },
      method: view.method,
      get tags() {
        return (tags ??= [uriTag(view), ...key.tags, ...(typeof policy.tags === 'function' ? [] : policy.tags)]);
      },
      maxBytes: settingFor(policy.maxBytes, view),
      maxVariants: settingFor(policy.maxVariants, view),
      keepToConfirmMs: policy.mode === 'rfc' ? KEEP_TO_CONFIRM_MS : 0,
      confirms: policy.mode === 'rfc',
      cacheName: this.cacheName,
      backOff: 5000,
      hardTimeout: durationOf(settingFor(policy.hardTimeout, view)),
      tagsOf: tagsOf(view, policy),
      shouldCache: (page) =>
        policy.shouldCache?.({ value: undefined as never, status: page.stored.status, headers: page.headers }, view) ??
        true,
      guardInputs: (confirm) => guardInputs(view, policy, key, confirm),
    };
  }

  private semanticsOf(view: RequestView, policy: CompiledPolicy): CachePolicy {
    const known = this.constants.get(policy);
    if (known) return known;
    const made = toSemantics(policy, view);
    if (isConstant(policy)) this.constants.set(policy, made);
    return made;
  }
}

/** The label of every response to a URI, in whatever variant. */
export function uriTag({ protocol, host, url }: RequestView): string {
  const uri = `${protocol}://${host}${url}`;
  return `uri:${URL.canParse(uri) ? new URL(uri).href : uri}`;
}

const FIELDS = [
  'ttl',
  'freshFor',
  'staleWhileRevalidate',
  'staleIfError',
  'negativeTtl',
  'status',
  'maxBytes',
  'clientDirectives',
  'downstream',
  'public',
] as const;

function isConstant(policy: CompiledPolicy): boolean {
  return FIELDS.every((field) => typeof policy[field] !== 'function');
}

function toSemantics(policy: CompiledPolicy, view: RequestView): CachePolicy {
  const read = <T>(setting: T | ((view: RequestView) => T) | undefined): T | undefined =>
    setting === undefined ? undefined : settingFor(setting, view);
  const isRfc = policy.mode === 'rfc';
  const ttl = read(policy.ttl);
  const hardMs = Math.min(LONGEST_MS, ttl ?? (isRfc ? 0 : DEFAULT_TTL_MS));
  const freshFor = Math.min(hardMs, read(policy.freshFor) ?? hardMs);
  // Between its soft and its hard lifetime an entry may be served while it is refreshed, as everywhere in this package.
  const between = hardMs - freshFor;
  const negativeTtl = read(policy.negativeTtl);
  const statuses = read(policy.status);
  const downstream = read(policy.downstream);
  return cachePolicy({
    mode: policy.mode,
    view: policy.isPrincipal ? 'private' : 'shared',
    freshFor,
    staleWhileRevalidate: Math.min(LONGEST_MS, Math.max(between, read(policy.staleWhileRevalidate) ?? 0)),
    staleIfError: Math.min(LONGEST_MS, Math.max(between, read(policy.staleIfError) ?? 0)),
    maxBytes: read(policy.maxBytes) ?? Infinity,
    clientDirectives: read(policy.clientDirectives) ?? isRfc,
    ...(negativeTtl !== undefined && { negative: { freshFor: negativeTtl } }),
    ...(statuses !== undefined && { statuses }),
    ...(read(policy.public) === true && { authorization: 'ignore' as const }),
    ...(downstream !== 'auto' && downstream !== undefined && { downstream }),
  });
}

function tagsOf(view: RequestView, policy: CompiledPolicy): PageRequest['tagsOf'] {
  const { tags } = policy;
  if (typeof tags !== 'function') return () => [];
  return (page) => tags({ value: undefined, status: page.stored.status, headers: page.headers } as never, view);
}

function guardInputs(
  view: RequestView,
  policy: CompiledPolicy,
  key: PageKey,
  confirm: Readonly<Record<string, string>>,
): InputGuard {
  const recording = recordReads(view, policy, key, { hide: CONDITIONAL_HEADERS, set: confirm });
  return {
    reads: () => {
      const judged = judgeReads(recording.reads, key.covers, policy.ignoredReads);
      return 'refuse' in judged ? { refuse: judged.refuse } : { vary: [...new Set([...key.vary, ...judged.vary])] };
    },
    done: () => void recording.stop(),
  };
}

function durationOf(ms: number): number | 'forever' {
  return ms === Infinity ? 'forever' : durationMs(ms, 'hardTimeout');
}
