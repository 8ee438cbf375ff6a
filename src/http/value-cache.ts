import type { CallHandler, HttpServer } from '@nestjs/common';
import { lastValueFrom, type Observable, from } from 'rxjs';
import type { CacheKey, CallOptions, LoadContext } from '../core/cache.options.js';
import { DEFAULT_TTL_MS, lifetimeOf } from './lifetimes.js';
import type { CacheService } from '../core/cache.service.js';
import { jsonCodec } from '../core/codec/json.codec.js';
import { CacheUsageError } from '../core/errors/cache.error.js';
import { cachePolicy } from '../http-semantics/cache-policy.js';
import { noteServed } from './contexts/given-contexts.js';
import type { ContextVariant } from './contexts/handler-contexts.js';
import type { Fields } from '../http-semantics/fields/fields.js';
import { storable } from '../http-semantics/storable.js';
import { settingFor, type CompiledPolicy } from './policy/compiled.policy.js';
import type { OfContext } from './policy/response-cache.policy.js';
import { CONDITIONAL_HEADERS } from './policy/input-lists.js';
import { isCovered } from './policy/input-name.js';
import { judgeReads } from './policy/judge-reads.js';
import { tellUnkeyed } from './policy/tell-unkeyed.js';
import { recordReads } from './policy/record-reads.js';
import type { RequestView } from './policy/request-view.js';
import type { PageKey } from './keys/page-key.js';
import { groupTags, pathTags } from './response-tags.js';
import { baselineOf, headerFields, isStream, ownHeaders, statusOf, type HeaderFields } from './wire/index.js';

/** What a handler returned, and what it did to its response. */
interface HeldValue {
  readonly value: unknown;
  readonly status?: number;
  readonly headers?: HeaderFields;
  /** It depends on something that no key covers: for one caller only. */
  readonly isNotShared?: true;
  /** As of {@link Page.contexts}. Values of other contexts have keys of their own. */
  readonly contexts?: string;
}

/** What a handler has thrown may depend, as what it returns, on something that no key covers. */
class FailureOfOne extends Error {
  constructor(
    readonly view: RequestView,
    override readonly cause: unknown,
  ) {
    super('a handler failed');
  }
}

type Lives = Pick<CallOptions<HeldValue>, 'ttl' | 'freshFor' | 'staleWhileLoading' | 'staleIfError'>;

/** One run of a handler: what its own caller gets, and what is made of it for others. */
interface Run {
  readonly returned: unknown;
  readonly made: HeldValue;
  /** Labels that its response names. */
  readonly groups?: readonly string[];
}

/** Keeps the values that handlers return, before outer interceptors and the transport make something of them. */
export class ValueCache {
  constructor(
    private readonly cache: CacheService,
    private readonly adapter: () => HttpServer,
  ) {}

  handle(view: RequestView, policy: CompiledPolicy, key: PageKey, next: CallHandler): Observable<unknown> {
    return from(this.look(view, policy, key, next));
  }

  private async look(view: RequestView, policy: CompiledPolicy, key: PageKey, next: CallHandler): Promise<unknown> {
    // What is made for HEAD may lack what GET asks for (RFC 9110 9.3.2): it takes, and leaves nothing.
    const { contexts } = policy;
    const suits = (held: HeldValue): boolean => held.contexts === undefined || held.contexts === variantOf(contexts);
    if (view.method === 'HEAD') {
      const held = await this.stored(key, contexts, suits);
      if (held === undefined || isApart(policy)) return lastValueFrom(next.handle(), { defaultValue: undefined });
      if (held.contexts !== undefined && contexts) noteServed(contexts);
      this.restore(view, held);
      return held.value;
    }
    let own: Run | undefined;
    let hasRun = false;
    const load = async (context: LoadContext<HeldValue>): Promise<HeldValue> => {
      hasRun = true;
      own = await this.run(view, policy, key, next);
      const { made, groups = [] } = own;
      const { tags, shouldCache } = policy;
      const answer = { value: made.value as never, status: made.status ?? 200, headers: made.headers ?? {} };
      if (made.isNotShared || shouldCache?.(answer, view) === false) {
        context.skip();
        return { value: null, isNotShared: true };
      }
      if (typeof tags === 'function') context.setTags(tags(made.value as never, view));
      context.setTags(groups);
      return made;
    };
    let held: HeldValue;
    try {
      const options = this.options(view, policy, key);
      held = await this.cache.getOrSet<HeldValue>(keyOf(key), load, options);
      if (!own && !suits(held)) held = await this.cache.getOrSet<HeldValue>(keyOf(key, contexts), load, options);
    } catch (error) {
      if (error instanceof FailureOfOne && error.view === view) throw error.cause;
      if (!(error instanceof FailureOfOne) && (hasRun || !isApart(policy))) throw error;
      return lastValueFrom(next.handle(), { defaultValue: undefined });
    }
    if (own) return own.returned;
    if (held.isNotShared || !suits(held) || isApart(policy))
      return lastValueFrom(next.handle(), { defaultValue: undefined });
    if (held.contexts !== undefined && contexts) noteServed(contexts);
    if (view.kind === 'http') this.restore(view, held);
    return held.value;
  }

  private async stored(
    key: PageKey,
    contexts: ContextVariant | undefined,
    suits: (held: HeldValue) => boolean,
  ): Promise<HeldValue | undefined> {
    let held = await this.cache.get<HeldValue>(keyOf(key));
    if (held.isFound && !suits(held.value)) held = await this.cache.get<HeldValue>(keyOf(key, contexts));
    return held.isFound && suits(held.value) ? held.value : undefined;
  }

  private async run(view: RequestView, policy: CompiledPolicy, key: PageKey, next: CallHandler): Promise<Run> {
    const recording = recordReads(view, policy, key, { hide: CONDITIONAL_HEADERS });
    const response = view.kind === 'http' ? view.context.switchToHttp().getResponse<object>() : undefined;
    const baseline = response && baselineOf(response);
    const statusBefore = response && statusOf(response);
    // As they are now: handlers may enter some.
    const variant = variantOf(policy.contexts);
    let contexts: Pick<HeldValue, 'contexts'> = {};
    // Values have no variants by fields: what is read must be part of the key.
    const isOfOne = (): boolean => {
      const judged = judgeReads(recording.stop(), key.covers, policy.ignoredReads);
      if ('refuse' in judged && judged.refuse === 'unkeyed') tellUnkeyed(policy, judged.input);
      if ('refuse' in judged || judged.vary.length > 0) return true;
      if (judged.isContextual) contexts = { contexts: variant };
      return false;
    };
    let returned: unknown;
    let value: unknown;
    try {
      returned = await lastValueFrom(next.handle(), { defaultValue: undefined });
      if (isStream(returned)) {
        recording.stop();
        return { returned, made: { value: null, isNotShared: true } };
      }
      refuseInstances(returned, policy.where);
      // Getters and toJSON() may look at the request, too.
      value = snapshotOf(returned);
    } catch (error) {
      const says = response && !isStorable(200, baselineOf(response), view, policy, key);
      throw isOfOne() || says ? new FailureOfOne(view, error) : error;
    }
    const notShared: Run = { returned, made: { value, isNotShared: true } };
    if (isOfOne()) return notShared;
    if (!response || !baseline) return { returned, made: { value, ...contexts } };
    const all = baselineOf(response);
    const status = statusOf(response);
    if (!isStorable(status, all, view, policy, key)) return notShared;
    const headers = ownHeaders({ headers: all }, baseline);
    const differs = status !== statusBefore && { status };
    return {
      returned,
      made: { value, ...contexts, ...differs, ...(Object.keys(headers).length > 0 && { headers }) },
      groups: groupTags(all as Fields),
    };
  }

  private options(view: RequestView, policy: CompiledPolicy, key: PageKey): object {
    const { hardTimeout, tags } = policy;
    return {
      ...livesOf(view, policy),
      hardTimeout: lifetimeOf(settingFor(hardTimeout, view)),
      tags: [
        ...(view.kind === 'http' ? pathTags(view, key.covers) : []),
        ...key.tags,
        ...(typeof tags === 'function' ? [] : tags),
      ],
    };
  }

  private restore(view: RequestView, { status, headers = {} }: HeldValue): void {
    const response = view.context.switchToHttp().getResponse<object>();
    const adapter = this.adapter();
    if (status !== undefined) adapter.status(response, status);
    for (const [name, value] of Object.entries(headerFields(headers)))
      adapter.setHeader(response, name, value as string);
  }
}

/** @param contexts of whose variant it is, where the one without has another's value */
function keyOf({ key }: PageKey, contexts?: ContextVariant): CacheKey {
  return contexts ? ['v', key as never, variantOf(contexts)] : ['v', key as never];
}

function variantOf(contexts: ContextVariant | undefined): string {
  return contexts?.variant ?? '';
}

/** What was made for others is not for this request: it has a store where their handler has found none. */
function isApart({ contexts }: CompiledPolicy): boolean {
  return contexts?.isApart === true;
}

/** How long a value is fresh, and kept: the longer one of its stale lives, in each of which it is served for its own reason only. */
function livesOf(view: RequestView, policy: CompiledPolicy): Lives {
  const read = (setting: OfContext<number> | undefined): number | undefined =>
    setting === undefined ? undefined : settingFor(setting, view);
  const ttl = read(policy.ttl);
  const freshFor = read(policy.freshFor);
  const whileRefreshed = read(policy.staleWhileRevalidate) ?? 0;
  const ifError = read(policy.staleIfError) ?? 0;
  const longest = Math.max(whileRefreshed, ifError);
  if (longest === 0)
    return {
      ...(ttl !== undefined && { ttl: lifetimeOf(ttl) }),
      ...(freshFor !== undefined && { freshFor: lifetimeOf(freshFor) }),
    };
  const hard = ttl ?? DEFAULT_TTL_MS;
  if (hard === 0) return { ttl: 0 };
  const fresh = Math.min(hard, freshFor ?? hard);
  const isKeptStale = hard > fresh;
  return {
    ttl: lifetimeOf(Math.max(hard, fresh + longest)),
    freshFor: lifetimeOf(fresh),
    staleWhileLoading: isKeptStale || whileRefreshed > 0,
    staleIfError: isKeptStale || ifError > 0,
  };
}

/** What a response says against being kept counts for the value it is made of as well. Values have no variants. */
function isStorable(
  status: number,
  headers: HeaderFields,
  view: RequestView,
  policy: CompiledPolicy,
  key: PageKey,
): boolean {
  const statuses = policy.status && settingFor(policy.status, view);
  const rules = cachePolicy({
    mode: 'ttl',
    view: key.partition === 'principal' ? 'private' : 'shared',
    freshFor: 1,
    authorization: 'ignore',
    ...(statuses && { statuses }),
  });
  const request = { method: 'GET', headers: view.headers as Fields };
  const now = Date.now();
  const made = storable({ request, response: { status, headers }, requestedAt: now, receivedAt: now }, rules);
  return made.isStorable && (made.stored.vary ?? []).every(([name]) => isCovered(`header:${name}`, key.covers));
}

function snapshotOf(value: unknown): unknown {
  const { payload, side } = jsonCodec.encode(value);
  return jsonCodec.decode(payload, side);
}

/**
 * A class says by decorators what of an object may be seen (`@Exclude()`): from the cache it would come back without its class, and all of it
 * would be sent. Whole responses (`@CachePage`) are stored after that was applied.
 */
function refuseInstances(value: unknown, where: string, depth = 0): void {
  if (typeof value !== 'object' || value === null || depth > 8) return;
  if (Array.isArray(value)) {
    for (const item of value) refuseInstances(item, where, depth + 1);
    return;
  }
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype === Object.prototype || prototype === null) {
    for (const item of Object.values(value)) refuseInstances(item, where, depth + 1);
    return;
  }
  const isBuiltIn = BUILT_IN.some((type) => value instanceof type) || ArrayBuffer.isView(value);
  if (isBuiltIn) return;
  throw new CacheUsageError(
    'uncacheable_value',
    `${where} returns an instance of ${value.constructor?.name ?? 'an unknown class'}, which would come back from the cache without its class; ` +
      'return plain objects, or use @CachePage(), which keeps what is sent',
  );
}

const BUILT_IN = [Date, Map, Set, RegExp, URL, Error];
