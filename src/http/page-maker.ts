import type { CachePolicy } from '../http-semantics/cache-policy.js';
import type { Exchange } from '../http-semantics/exchange.js';
import { makeEntityTag } from '../http-semantics/fields/entity-tag.js';
import type { Fields, FieldValue } from '../http-semantics/fields/fields.js';
import { formatHttpDate } from '../http-semantics/fields/http-date.js';
import { formatSurrogateKeys } from '../http-semantics/fields/surrogate-keys.js';
import { storable, type Storable } from '../http-semantics/storable.js';
import { isPromisedToClient } from '../http-semantics/stored-response.js';
import { mergeVary, varyNames } from '../http-semantics/vary.js';
import { appendedTo, isTheirs, removedOf } from './field-changes.js';
import type { FillOrder, LearnedInputs } from './fill-order.js';
import type { PageParts } from './page.js';
import { groupTag } from './response-tags.js';
import type { ResponseHead } from './wire/index.js';

/** A response that may be stored. */
export type Made = Storable & { readonly isStorable: true };

/** Makes what can be stored of what a handler has answered. */
export class PageMaker {
  private readonly requestedAt = Date.now();
  /** Asked for once, before outer interceptors can change what the handler returned. */
  private late: readonly string[] | undefined;
  private fault: Error | undefined;

  constructor(private readonly order: FillOrder) {}

  /** @throws what a function of the policy has thrown while the response was sent, when nobody could be told */
  checkPolicy(): void {
    if (this.fault) throw this.fault;
  }

  make(head: ResponseHead, body: Buffer | undefined, { vary, isContextual }: LearnedInputs): Storable {
    const { place } = this.order;
    const headers: Record<string, string | readonly string[]> = { ...head.headers };
    const allVary = mergeVary(headers['vary'], vary);
    if (allVary !== undefined) headers['vary'] = allVary;
    if (body && body.length > 0 && place.semantics.mode === 'ttl') headers['etag'] ??= makeEntityTag(body);
    headers['date'] ??= formatHttpDate(Date.now());
    const exchange = this.exchange({ status: head.status, headers });
    const size = body && { bytes: body.length, isComplete: true };
    const semantics = this.semanticsFor(varyNames(headers), isContextual);
    const made = storable(size ? { ...exchange, body: size } : exchange, semantics);
    return made.isStorable ? this.labelled(made, semantics) : made;
  }

  /**
   * A cache in front cannot tell apart what middleware has made of a request; nor what it had when the page was made that is refreshed.
   * @param isOfOne whether what was read besides is in no field of the request
   */
  semanticsFor(vary: readonly string[] | '*', isOfOne = false): CachePolicy {
    const { place, stale, isAsArrived } = this.order;
    const isTold =
      !isOfOne && !(stale && isPromisedToClient(stale.page.stored)) && (vary === '*' || vary.every(isAsArrived));
    return isTold ? place.semantics : { ...place.semantics, promiseTo: 'client' };
  }

  /** What is stored of it: middleware and static decorators set theirs anew for each request. @param sent all its fields */
  partsOf({ stored, headers: all }: Made, body: Buffer, sent: Fields): PageParts {
    const { baseline, keepsAllFields } = this.order;
    const headers: Record<string, FieldValue> = {};
    const appended: Record<string, FieldValue> = {};
    for (const [name, value] of Object.entries(all)) {
      if (value === undefined || (!keepsAllFields && isTheirs(name, value, baseline))) continue;
      const rest = keepsAllFields ? undefined : appendedTo(baseline, name, value);
      if (rest === undefined) headers[name] = value;
      else appended[name] = rest;
    }
    const removed = removedOf(baseline, sent, stored);
    return {
      stored,
      headers,
      body,
      ...(removed.length > 0 && { removed }),
      ...(Object.keys(appended).length > 0 && { appended }),
    };
  }

  /** The head of an answer that confirms a page, without what is not the handler's. */
  ownHead({ status, headers }: ResponseHead): ResponseHead {
    const { baseline, keepsAllFields } = this.order;
    if (keepsAllFields) return { status, headers };
    const own = Object.entries(headers).filter(([name, value]) => !isTheirs(name, value, baseline));
    return { status, headers: Object.fromEntries(own) };
  }

  /** Labels by what was answered. */
  lateTags(made: Made): readonly string[] {
    try {
      this.late ??= [...this.order.tagsOf(made), ...(made.stored.groups ?? []).map(groupTag)];
      return this.late;
    } catch (error) {
      this.fault = error as Error;
      throw error;
    }
  }

  /** With the request for the place, whatever the client has asked for. */
  exchange(response: ResponseHead): Exchange {
    const request = { method: 'GET', headers: this.order.place.headers };
    return { request, response, requestedAt: this.requestedAt, receivedAt: Date.now() };
  }

  /** Caches in front are told the labels; not of what is for one client, which none of them may keep. */
  private labelled(made: Made, { promiseTo }: CachePolicy): Made {
    const { tags, surrogateKeys: field } = this.order;
    const late = this.lateTags(made);
    if (field === undefined || promiseTo === 'client') return made;
    const own = made.headers[field];
    const keys = formatSurrogateKeys(field, [...tags, ...late]);
    return { ...made, headers: { ...made.headers, [field]: own === undefined ? keys : [own, keys].flat() } };
  }
}
