import { answer, type Answer } from '../http-semantics/answer.js';
import { formatCacheStatus, type CacheStatus } from '../http-semantics/fields/cache-status.js';
import { hasField, withoutFields, type FieldValue } from '../http-semantics/fields/fields.js';
import { isTargeted } from '../http-semantics/fields/private-cache-control.js';
import type { Merged } from '../http-semantics/merge304.js';
import { removedOf } from './field-changes.js';
import type { FillOrder } from './fill-order.js';
import { bodyOf, type Page } from './page.js';
import type { Hit } from './page-lookup.js';
import type { Made } from './page-maker.js';
import {
  withAppended,
  type HeaderChanges,
  type Replacement,
  type ResponseHead,
  type TapDecision,
} from './wire/index.js';

/** What a response that will be stored is sent with, whatever its handler has set. */
const COMPUTED = ['cache-control', 'cache-status', 'date', 'etag', 'expires', 'vary'];

/** What goes out to the client for whom the handler has run. */
export class PageSender {
  constructor(private readonly order: FillOrder) {}

  /** A response that will not be stored: as it is. @param refusal why, if there is more to say */
  passed(head: ResponseHead, refusal: string | undefined): TapDecision {
    const { because = 'uri-miss', cacheName } = this.order;
    const mine = formatCacheStatus({ cache: cacheName, fwd: because, ...(refusal && { detail: refusal }) });
    const before = hasField(head.headers, 'cache-status') ? `${String(head.headers['cache-status'])}, ` : '';
    return { action: 'pass', capture: false, headers: { 'cache-status': before + mine } };
  }

  /** A response that will be stored, on its way to the client who caused it: as a hit would look, if all of it is known. */
  stored(made: Made, head: ResponseHead, body: Buffer | undefined): TapDecision {
    const { place, because, cacheName, surrogateKeys } = this.order;
    const status: CacheStatus = { cache: cacheName, fwd: because ?? 'uri-miss', stored: true };
    // A body that is not known yet is sent as it is: only GET without conditions is asked for here.
    const request = { method: 'GET', headers: body ? place.headers : {} };
    const options = { now: made.stored.receivedAt, length: body?.length ?? 0, status };
    const headers = { ...withoutFields(head.headers, isTargeted), ...made.headers };
    const wanted = answer(made.stored, headers, request, options);
    if (wanted.status !== head.status || wanted.body !== 'full')
      return this.asWanted(wanted, body, removedOf(this.order.baseline, head.headers, made.stored));
    const targeted = Object.keys(head.headers).filter(isTargeted);
    const names = [...COMPUTED, ...targeted, ...(surrogateKeys === undefined ? [] : [surrogateKeys])];
    return { action: 'pass', headers: Object.fromEntries(names.map((name) => [name, wanted.headers[name]])) };
  }

  /** The stale page, which the handler has failed to replace. */
  heldOver({ page, now }: Hit, fwdStatus: number): TapDecision {
    return { action: 'swallow', replaceWith: () => this.replay(page, now, { fwd: 'stale', fwdStatus }) };
  }

  /** The page, of which the handler says that it has not changed. @param refusal why it is not stored with the fields that it has now */
  confirmed(page: Page, { stored, headers }: Merged, refusal: string | undefined): TapDecision {
    const isStored = stored !== undefined && refusal === undefined;
    const status = { fwd: 'stale', fwdStatus: 304, stored: isStored, ...(refusal && { detail: refusal }) } as const;
    const merged = { ...page, stored: stored ?? page.stored, headers };
    return { action: 'swallow', replaceWith: () => this.replay(merged, Date.now(), status) };
  }

  /** Less than the whole: a 304, a range. */
  private asWanted(
    { status, headers: { age: _none, ...headers }, body: part }: Answer,
    body: Buffer | undefined,
    removed: readonly string[],
  ): TapDecision {
    const bytes = typeof part === 'object' ? body?.subarray(part.start, part.end) : undefined;
    return {
      action: 'swallow',
      replaceWith: () => ({ status, headers: { ...without(removed), ...headers }, ...(bytes && { body: bytes }) }),
    };
  }

  private replay(page: Page, now: number, status: Omit<CacheStatus, 'cache'>): Replacement {
    const { method, place, cacheName } = this.order;
    const request = { method, headers: place.headers };
    const made = answer(page.stored, page.headers, request, {
      now,
      length: page.body.length,
      status: { cache: cacheName, ...status },
    });
    const headers = { ...without(page.removed), ...made.headers, ...this.appended(page, made.body) };
    return { status: made.status, headers, ...bodyOf(page, made.body) };
  }

  private appended({ appended = {} }: Page, part: Answer['body']): HeaderChanges {
    if (part === 'none' && this.order.method !== 'HEAD') return {};
    const { baseline } = this.order;
    return Object.fromEntries(
      Object.entries(appended).map(([name, rest]) => [name, withAppended(baseline[name], rest as FieldValue)]),
    );
  }
}

/** What is set for each request, and not sent with the page. */
function without(removed: readonly string[] = []): HeaderChanges {
  return Object.fromEntries(removed.map((name) => [name, undefined]));
}
