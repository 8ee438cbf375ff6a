import type { ExecutionContext } from '@nestjs/common';
import type { Duration } from '../core/clock/duration.js';
import { DEFAULT_TTL_MS, lifetimeOf } from './lifetimes.js';
import { cachePolicy, type CachePolicy } from '../http-semantics/cache-policy.js';
import type { Fields } from '../http-semantics/fields/fields.js';
import { noteServed } from './contexts/given-contexts.js';
import { unheard } from './contexts/storage-watch.js';
import { changedQuery } from './keys/changed-query.js';
import type { BypassedPage, PageKey } from './keys/page-key.js';
import { PrimaryKeys } from './keys/primary-keys.js';
import type { Place } from './page-lookup.js';
import type { Page } from './page.js';
import type { InputGuard, PageRequest } from './page-request.js';
import { arrivedHeaders } from './policy/arrived-headers.js';
import { settingFor, varyOf, type CompiledPolicy } from './policy/compiled.policy.js';
import { CONDITIONAL_HEADERS } from './policy/input-lists.js';
import type { InputName } from './policy/input-name.js';
import { policyChecks } from './policy/policy.validation.js';
import { judgeReads } from './policy/judge-reads.js';
import { tellUnkeyed } from './policy/tell-unkeyed.js';
import { recordReads, type Recording } from './policy/record-reads.js';
import { isToldDownstream } from './policy/told-downstream.js';
import { versionInputs, type Versioning } from './policy/version-inputs.js';
import type { RequestView } from './policy/request-view.js';
import { pathTags } from './response-tags.js';

/** Lifetimes beyond this are for ever, as far as dates in headers can say. */
const LONGEST_MS = 10 * 365 * 86_400_000;
/** A page with a validator is confirmed more cheaply than made again. */
const KEEP_TO_CONFIRM_MS = 86_400_000;
const BACK_OFF_MS = 5000;

/** Puts together what the policies of a handler say about one request. */
export class PageRequests {
  private readonly keys = new PrimaryKeys();
  private readonly constants = new WeakMap<CompiledPolicy, CachePolicy>();
  /** Of the application; known when it has been initialised. */
  versioning: () => Versioning = () => undefined;

  constructor(
    private readonly cacheName: string,
    private readonly surrogateKeys: string | undefined,
  ) {}

  of(view: RequestView, policy: CompiledPolicy): PageRequest | BypassedPage {
    const keyed = this.keys.of(view, policy);
    if ('bypass' in keyed) return keyed;
    const place = {
      primary: keyed.primary,
      headers: view.headers as Fields,
      semantics: this.semanticsOf(view, policy),
      contexts: policy.contexts,
    };
    const key = (): PageKey => this.withVersions(keyed.key(), view);
    return new PolicedRequest(view, policy, place, this.cacheName, this.surrogateKeys, key);
  }

  private withVersions(key: PageKey, { identity }: RequestView): PageKey {
    const inputs = versionInputs(this.versioning(), identity.versions);
    if (inputs.length === 0) return key;
    const names = new Set([...key.covers.names, ...inputs]);
    return { ...key, covers: { ...key.covers, names }, vary: varyOf(names) };
  }

  private semanticsOf(view: RequestView, policy: CompiledPolicy): CachePolicy {
    const known = this.constants.get(policy);
    if (known) return known;
    const made = toSemantics(policy, view);
    if (isConstant(policy)) this.constants.set(policy, made);
    return made;
  }
}

type PageParts = Pick<Page, 'stored' | 'headers'>;

/** What only a fill needs of a policy. */
interface Settings {
  readonly tags: readonly string[];
  readonly maxBytes: number;
  readonly maxVariants: number;
  readonly hardTimeout: Duration | 'forever';
  readonly isToldDownstream: boolean;
}

/** What a hit does not need is worked out when it is asked for. */
class PolicedRequest implements PageRequest {
  mayFill = true;
  private known: Settings | undefined;
  private readBefore: Set<InputName> | undefined;
  private recording: Recording | undefined;

  constructor(
    private readonly view: RequestView,
    private readonly policy: CompiledPolicy,
    readonly place: Place,
    readonly cacheName: string,
    readonly surrogateKeys: string | undefined,
    private readonly key: () => PageKey,
  ) {}

  get context(): ExecutionContext {
    return this.view.context;
  }
  get method(): string {
    return this.view.method;
  }
  get isApart(): boolean {
    return this.policy.contexts?.isApart === true;
  }
  get placeToFill(): Place {
    const { semantics, contexts } = this.place;
    // As they are now: handlers may enter some.
    const place = { ...this.place, contexts: contexts && { variant: contexts.variant } };
    return this.settings.isToldDownstream ? place : { ...place, semantics: { ...semantics, promiseTo: 'client' } };
  }
  get tags(): readonly string[] {
    return this.settings.tags;
  }
  get maxBytes(): number {
    return this.settings.maxBytes;
  }
  get maxVariants(): number {
    return this.settings.maxVariants;
  }
  get keepToConfirmMs(): number {
    return this.confirms ? KEEP_TO_CONFIRM_MS : 0;
  }
  get confirms(): boolean {
    return this.policy.mode === 'rfc';
  }
  get keepsAllFields(): boolean {
    return this.policy.beforeGuards;
  }
  get backOff(): number {
    return BACK_OFF_MS;
  }
  get hardTimeout(): Duration | 'forever' {
    return this.settings.hardTimeout;
  }

  private get settings(): Settings {
    if (this.known) return this.known;
    const { view, policy } = this;
    const tags = typeof policy.tags === 'function' ? [] : policy.tags;
    const key = this.key();
    return (this.known = {
      tags: [...pathTags(view, key.covers), ...key.tags, ...tags],
      maxBytes: settingFor(policy.maxBytes, view),
      maxVariants: settingFor(policy.maxVariants, view),
      hardTimeout: lifetimeOf(settingFor(policy.hardTimeout, view)),
      isToldDownstream: isToldDownstream(policy, key.covers.names) && changedQuery(view) === undefined,
    });
  }

  tagsOf({ stored, headers }: PageParts, value: unknown): readonly string[] {
    const { tags, where } = this.policy;
    if (typeof tags !== 'function') return [];
    const made = unheard(() => tags({ value, status: stored.status, headers } as never, this.view));
    policyChecks.tags(made, `${where}.tags()`);
    return made;
  }

  shouldCache({ stored, headers }: PageParts, value: unknown): boolean {
    const { shouldCache } = this.policy;
    if (shouldCache === undefined) return true;
    return unheard(() => shouldCache({ value: value as never, status: stored.status, headers }, this.view));
  }

  goOnNoting(reads: Set<InputName> | undefined): void {
    this.mayFill = reads !== undefined;
    if (reads === undefined) return;
    // While reads are noted no function of the policy may look at the request.
    void this.settings;
    this.readBefore = reads;
    this.recording = noteReads(this.view, this.policy, reads);
  }

  noteServed({ contexts }: Page): void {
    if (contexts !== undefined && this.policy.contexts) noteServed(this.policy.contexts);
  }

  release(): void {
    this.recording?.stop();
  }

  guardInputs(confirm: Readonly<Record<string, string>>): InputGuard {
    this.release();
    return guardInputs(this.view, this.policy, this.key(), confirm, this.readBefore);
  }
}

/** Before it is known what is to be done with a request, and what its key covers. */
export function noteReads(view: RequestView, policy: CompiledPolicy, reads?: Set<InputName>): Recording {
  return recordReads(view, policy, policy, { hide: CONDITIONAL_HEADERS }, reads);
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

function guardInputs(
  view: RequestView,
  policy: CompiledPolicy,
  key: PageKey,
  confirm: Readonly<Record<string, string>>,
  readBefore: Set<InputName> | undefined,
): InputGuard {
  const isAsArrived = arrivedHeaders(view.headers as Fields, view.raw?.rawHeaders ?? []);
  const recording = recordReads(view, policy, key, { hide: CONDITIONAL_HEADERS, set: confirm }, readBefore);
  return {
    reads: () => {
      const judged = judgeReads(recording.reads, key.covers, policy.ignoredReads);
      if ('refuse' in judged && judged.refuse === 'unkeyed') tellUnkeyed(policy, judged.input);
      if ('refuse' in judged) return { refuse: judged.refuse };
      return { ...judged, vary: [...new Set([...key.vary, ...judged.vary])] };
    },
    isAsArrived,
    done: () => void recording.stop(),
  };
}
