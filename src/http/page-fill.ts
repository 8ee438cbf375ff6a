import type { CacheService } from '../core/cache.service.js';
import { TieredCacheError } from '../core/errors/cache.error.js';
import type { LoadRun } from '../core/flights/load-run.js';
import { answer } from '../http-semantics/answer.js';
import type { CacheStatus } from '../http-semantics/fields/cache-status.js';
import { formatCacheStatus } from '../http-semantics/fields/cache-status.js';
import { makeEntityTag } from '../http-semantics/fields/entity-tag.js';
import { hasField, type Fields } from '../http-semantics/fields/fields.js';
import { formatHttpDate } from '../http-semantics/fields/http-date.js';
import { isOriginError } from '../http-semantics/judge.js';
import { merge304, mergeHead, type HeadEffect, type Merged } from '../http-semantics/merge304.js';
import type { Exchange } from '../http-semantics/exchange.js';
import { formatSurrogateKeys } from '../http-semantics/fields/surrogate-keys.js';
import { isOfTheRequest, storable, type Storable } from '../http-semantics/storable.js';
import { usableUntil, type StoredResponse } from '../http-semantics/stored-response.js';
import { mergeVary } from '../http-semantics/vary.js';
import { ABANDONED, NOT_SHARED, type Fork, type Held, type Page } from './page.js';
import { groupTag } from './response-tags.js';
import { keyOfVariant, type Hit, type Place } from './page-lookup.js';
import { isCaptured, type HeaderChanges, type HeaderFields, type Replacement } from './wire/index.js';
import type { ResponseHead, TapDecision, TapOutcome } from './wire/index.js';

/** The handler answered with an error, and there is something better to send. */
export class OriginError extends TieredCacheError {
  constructor(readonly status: number) {
    super('origin_error', `the handler answered ${status}`);
  }
}

/** What a fill is to do, and for whom. */
export interface FillOrder {
  readonly place: Place;
  /** Where the page is looked for now; it may turn out to belong elsewhere. */
  readonly key: string;
  readonly fork: Fork | undefined;
  readonly method: string;
  /** To be confirmed by a conditional request, or sent in place of an error. */
  readonly stale: Hit | undefined;
  readonly isConditional: boolean;
  readonly isUsableOnError: boolean;
  /** Why the request goes forward, for Cache-Status. */
  readonly because: CacheStatus['fwd'];
  readonly cacheName: string;
  readonly maxVariants: number;
  /** Entries with a validator are kept this much longer than they may be used, to be confirmed. */
  readonly keepToConfirmMs: number;
  /** Labels of every page at this place. */
  readonly tags: readonly string[];
  readonly tagsOf: (page: Pick<Page, 'stored' | 'headers'>) => readonly string[];
  /** The header that names the labels to caches in front, if one does. */
  readonly surrogateKeys: string | undefined;
  readonly shouldCache: (page: Pick<Page, 'stored' | 'headers' | 'body'>) => boolean;
  /** Fields set before the handler ran. */
  readonly baseline: HeaderFields;
  /** What the handler has read that is in no key: names to vary by, or why nothing may be kept. */
  readonly reads: () => { readonly vary: readonly string[] } | { readonly refuse: string };
}

type Made = Storable & { readonly isStorable: true };

/** One run of a handler on behalf of the cache: what of its response goes out, and what is kept. */
export class PageFill {
  private readonly requestedAt = Date.now();
  private merged: Merged | undefined;
  private failure: OriginError | undefined;
  private vary: readonly string[] | undefined;
  private refusal: string | undefined;
  private headEffect: HeadEffect | undefined;
  /** Labels by what was answered; asked for once, before outer interceptors can change what the handler returned. */
  private late: readonly string[] | undefined;
  private fault: Error | undefined;

  constructor(
    private readonly order: FillOrder,
    private readonly run: LoadRun,
    private readonly cache: CacheService,
  ) {}

  /** Whether the handler says "not modified" of something that is not stored here: it has to be asked without conditions (RFC 9111 4.3.4). */
  isOfAnother(head: ResponseHead): boolean {
    const { stale, isConditional, place } = this.order;
    if (!stale || !isConditional || head.status !== 304) return false;
    return merge304(stale.page.stored, stale.page.headers, this.exchange(head), place.semantics) === undefined;
  }

  /** When status and fields are known and nothing has been sent: for the tap of the response. */
  decide(head: ResponseHead, body: Buffer | undefined): TapDecision {
    const { stale, isConditional, isUsableOnError, place } = this.order;
    this.judgeReads();
    if (stale && isConditional && head.status === 304) {
      this.merged = merge304(stale.page.stored, stale.page.headers, this.exchange(head), place.semantics);
      if (this.merged) return { action: 'swallow', replaceWith: () => this.confirmed(stale.page) };
    }
    if (stale && isUsableOnError && isOriginError(head.status)) {
      this.failure = new OriginError(head.status);
      return {
        action: 'swallow',
        replaceWith: () => this.replay(stale.page, stale.now, { fwd: 'stale', fwdStatus: head.status }),
      };
    }
    if (this.order.method === 'HEAD') {
      this.headEffect = stale && this.compared(stale.page, head);
      return { action: 'pass', capture: false, headers: this.passedStatus(head) };
    }
    const made = this.refusal === undefined ? this.make(head, body) : undefined;
    if (!made?.isStorable) return { action: 'pass', capture: false, headers: this.passedStatus(head) };
    return this.sent(made, head, body);
  }

  /** What is kept of it, and under what conditions. @throws OriginError if the stale page is to be held over */
  async conclude(outcome: TapOutcome): Promise<Held> {
    if (this.failure) throw this.failure;
    if (this.fault) throw this.fault;
    const { stale } = this.order;
    if (this.merged && stale) return this.keepMerged(this.merged, stale.page);
    if (this.order.method === 'HEAD') return this.concludeHead(stale?.page);
    if (!isCaptured(outcome) && outcome.hasClientLeft) return this.skipped(ABANDONED);
    if (hasFailed(outcome)) return this.failed(outcome);
    if (!isCaptured(outcome) || outcome.addedLate.some((name) => OF_ONE.has(name))) return this.notShared();
    // While its body was written more may have been read.
    this.judgeReads();
    if (this.refusal !== undefined) return this.notShared();
    const made = this.make(outcome, outcome.body);
    if (!made.isStorable) {
      // What was stored before is not true any more, whether or not this may be stored.
      if (stale && outcome.status < 500 && !isOfTheRequest(made.reason)) await this.remove();
      return this.notShared();
    }
    const page = { stored: made.stored, headers: this.ownFields(made.headers), body: outcome.body };
    return this.order.shouldCache(page) ? this.keep(page, this.lateTags(made)) : this.notShared();
  }

  private judgeReads(): void {
    const reads = this.order.reads();
    if ('refuse' in reads) this.refusal = reads.refuse;
    else this.vary = reads.vary;
  }

  private make(head: ResponseHead, body: Buffer | undefined): Storable {
    const { place } = this.order;
    const headers: Record<string, string | readonly string[]> = { ...head.headers };
    const vary = mergeVary(headers['vary'], this.vary ?? []);
    if (vary !== undefined) headers['vary'] = vary;
    if (body && body.length > 0 && place.semantics.mode === 'ttl') headers['etag'] ??= makeEntityTag(body);
    headers['date'] ??= formatHttpDate(Date.now());
    const exchange = this.exchange({ status: head.status, headers });
    const size = body && { bytes: body.length, isComplete: true };
    const made = storable(size ? { ...exchange, body: size } : exchange, place.semantics);
    return made.isStorable ? this.labelled(made) : made;
  }

  /** Caches in front are told the labels; not of what is for one principal, which none of them may keep. */
  private labelled(made: Made): Made {
    const { place, tags, surrogateKeys: field } = this.order;
    const late = this.lateTags(made);
    if (field === undefined || place.semantics.view !== 'shared') return made;
    const own = made.headers[field];
    const keys = formatSurrogateKeys(field, [...tags, ...late]);
    return { ...made, headers: { ...made.headers, [field]: own === undefined ? keys : [own, keys].flat() } };
  }

  private lateTags(made: Made): readonly string[] {
    try {
      this.late ??= [...this.order.tagsOf(made), ...(made.stored.groups ?? []).map(groupTag)];
      return this.late;
    } catch (error) {
      this.fault = error as Error;
      throw error;
    }
  }

  private exchange(response: ResponseHead): Exchange {
    const request = { method: 'GET', headers: this.order.place.headers };
    return { request, response, requestedAt: this.requestedAt, receivedAt: Date.now() };
  }

  /** A response that will be stored, on its way to the client who caused it: as a hit would look, if all of it is known. */
  private sent(made: Made, head: ResponseHead, body: Buffer | undefined): TapDecision {
    const { method, place, because, cacheName } = this.order;
    const status: CacheStatus = { cache: cacheName, fwd: because ?? 'uri-miss', stored: true };
    const length = body?.length ?? 0;
    // A body that is not known yet is sent as it is: only GET without conditions is asked for here.
    const request = { method: 'GET', headers: body ? place.headers : {} };
    const now = made.stored.receivedAt;
    const made200 = answer(made.stored, { ...head.headers, ...made.headers }, request, { now, length, status });
    const changes: Record<string, string | readonly string[] | undefined> = {};
    const { surrogateKeys } = this.order;
    for (const name of [...COMPUTED, ...(surrogateKeys === undefined ? [] : [surrogateKeys])])
      changes[name] = made200.headers[name];
    if (made200.status === head.status && made200.body === 'full') return { action: 'pass', headers: changes };
    if (method === 'HEAD') return { action: 'pass', headers: changes };
    const part =
      typeof made200.body === 'object' && body ? body.subarray(made200.body.start, made200.body.end) : undefined;
    const { age: _none, ...headers } = made200.headers;
    return { action: 'swallow', replaceWith: () => ({ status: made200.status, headers, ...(part && { body: part }) }) };
  }

  private confirmed(page: Page): Replacement {
    const merged = this.merged as Merged;
    const stored: StoredResponse = merged.stored ?? page.stored;
    const now = Date.now();
    return this.replay({ ...page, stored, headers: merged.headers }, now, {
      fwd: 'stale',
      fwdStatus: 304,
      stored: merged.stored !== undefined,
    });
  }

  private replay(page: Page, now: number, status: Omit<CacheStatus, 'cache'>): Replacement {
    const { method, place, cacheName } = this.order;
    const request = { method, headers: place.headers };
    const made = answer(page.stored, page.headers, request, {
      now,
      length: page.body.length,
      status: { cache: cacheName, ...status },
    });
    return { status: made.status, headers: made.headers, ...bodyOf(page, made.body) };
  }

  private async keepMerged(merged: Merged, page: Page): Promise<Held> {
    // Confirmed without an answer of its own: it keeps the labels that it has.
    if (merged.stored) return this.keep({ stored: merged.stored, headers: merged.headers, body: page.body }, page.tags);
    if (merged.isWithdrawn) await this.remove();
    return this.notShared();
  }

  private compared({ stored, headers, body }: Page, head: ResponseHead): HeadEffect | undefined {
    // A body that came in chunks has a length by now.
    const known = { ...headers, 'content-length': String(body.length) };
    return mergeHead(stored, known, this.exchange(head), this.order.place.semantics);
  }

  /** What the answer to a HEAD says about the page, which it cannot replace (RFC 9111 4.3.5). */
  private async concludeHead(page: Page | undefined): Promise<Held> {
    const effect = this.headEffect;
    if (!page || !effect) return this.notShared();
    if (effect.isConfirmed) return this.keepMerged(effect, page);
    await this.remove();
    return this.notShared();
  }

  private remove(): Promise<unknown> {
    return this.cache.delete(this.order.key).catch(() => undefined);
  }

  /** Gives the page its lives, its labels, and, if it varies, its own place behind a fork. */
  private async keep(made: Pick<Page, 'stored' | 'headers' | 'body'>, labels: readonly string[]): Promise<Held> {
    const { order, run } = this;
    const { stored } = made;
    const hasValidator = stored.etag !== undefined || stored.lastModified !== undefined;
    const keepUntil = usableUntil(stored) + (hasValidator ? order.keepToConfirmMs : 0);
    const freshMs = stored.noCache ? 0 : Math.max(0, stored.freshUntil - stored.receivedAt);
    run.setTtl(Math.max(0, keepUntil - stored.receivedAt), freshMs);
    const late = labels.filter((tag) => !order.tags.includes(tag));
    if (late.length > 0) run.setTags(late);
    const page: Page = { kind: 'page', ...made, tags: [...order.tags, ...late] };
    const names = [...new Set([...(order.fork?.names ?? []), ...(stored.vary ?? []).map(([name]) => name)])].sort();
    if (names.length > 0 && !(await this.forked(names))) run.skip();
    return page;
  }

  /** `false`: there are as many variants as there may be. */
  private async forked(names: readonly string[]): Promise<boolean> {
    const { place, fork, key, maxVariants, tags } = this.order;
    const target = keyOfVariant(place, names);
    const variants = fork?.variants ?? [];
    const variant = makeEntityTag(Buffer.from(target));
    if (variants.includes(variant)) return true;
    if (variants.length >= maxVariants) return false;
    const next: Fork = { kind: 'fork', names, variants: [...variants, variant] };
    await this.cache.set(place.primary, next, { ttl: '1d', tags });
    if (target !== key) this.run.storeUnder(target);
    return true;
  }

  private failed({ status = 0 }: TapOutcome): Held {
    this.judgeReads();
    if (this.refusal !== undefined) return this.notShared();
    const names = this.vary ?? [];
    return this.skipped({
      kind: 'failed',
      status: Math.max(500, status),
      names,
      variant: keyOfVariant(this.order.place, names),
    });
  }

  private notShared(): Held {
    return this.skipped(NOT_SHARED);
  }

  private skipped(held: Held): Held {
    this.run.skip();
    return held;
  }

  /** Middleware and static decorators set theirs anew for each request; what describes the body is the page's own. */
  private ownFields(headers: Fields): Fields {
    const own: Record<string, string | readonly string[]> = {};
    for (const [name, value] of Object.entries(headers)) {
      const before = this.order.baseline[name];
      const isTheirs = before !== undefined && String(before) === String(value) && !OF_THE_PAGE.has(name);
      if (value !== undefined && !isTheirs) own[name] = value;
    }
    return own;
  }

  private passedStatus(head: ResponseHead): HeaderChanges {
    const { because = 'uri-miss', cacheName } = this.order;
    const mine = formatCacheStatus({ cache: cacheName, fwd: because, ...(this.refusal && { detail: this.refusal }) });
    const before = hasField(head.headers, 'cache-status') ? `${String(head.headers['cache-status'])}, ` : '';
    return { 'cache-status': before + mine };
  }
}

/** An error that is not kept, or half a response. */
function hasFailed(outcome: TapOutcome): boolean {
  if (isCaptured(outcome)) return false;
  return outcome.reason === 'aborted' || (outcome.reason === 'declined' && (outcome.status ?? 0) >= 500);
}
/** What a response that will be stored is sent with, whatever its handler has set. */
const COMPUTED = ['cache-control', 'cache-status', 'date', 'etag', 'expires', 'vary'];

/** What a session that is saved late adds: the response is for one client. */
const OF_ONE = new Set(['set-cookie', 'cache-control', 'vary']);

const OF_THE_PAGE = new Set([
  'content-type',
  'content-encoding',
  'content-language',
  'cache-control',
  'etag',
  'vary',
  'last-modified',
  'date',
]);

/** The bytes that an answer made from a page asks for. */
export function bodyOf(page: Page, part: 'full' | 'none' | { start: number; end: number }): { body?: Buffer } {
  if (part === 'none') return {};
  return { body: part === 'full' ? page.body : page.body.subarray(part.start, part.end) };
}
