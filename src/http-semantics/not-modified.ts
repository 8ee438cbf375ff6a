import { entityTags, strongMatch, weakMatch } from './fields/entity-tag.js';
import { fieldText, hasField, type RequestHead } from './fields/fields.js';
import { parseHttpDate } from './fields/http-date.js';

/** What conditions are evaluated against; a {@link StoredResponse} is one. */
export interface Validated {
  readonly status: number;
  readonly etag?: string;
  readonly modifiedAt?: number;
  /** Tells whether a Last-Modified is a strong validator. */
  readonly date: number;
}

/** The outcome of a request's conditions: send the response, 304, or 412. */
export type Precondition = 'send' | 'not-modified' | 'precondition-failed';

/**
 * Evaluates a request's conditions in the order of RFC 9110 13.2.2. They apply to what would be a 2xx only. Without any condition it costs
 * four look-ups.
 */
export function evaluatePreconditions(response: Validated, request: RequestHead, now: number): Precondition {
  const { headers, method } = request;
  if (response.status < 200 || response.status > 299) return 'send';
  const ifMatch = fieldText(headers, 'if-match');
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, response.etag, strongMatch)) return 'precondition-failed';
  } else if (hasField(headers, 'if-unmodified-since')) {
    const since = parseHttpDate(fieldText(headers, 'if-unmodified-since'), now);
    if (since !== undefined && response.modifiedAt !== undefined && response.modifiedAt > since)
      return 'precondition-failed';
  }
  const isRead = method === 'GET' || method === 'HEAD';
  const ifNoneMatch = fieldText(headers, 'if-none-match');
  if (ifNoneMatch !== undefined) {
    if (!matches(ifNoneMatch, response.etag, weakMatch)) return 'send';
    return isRead ? 'not-modified' : 'precondition-failed';
  }
  if (!isRead) return 'send';
  const since = parseHttpDate(fieldText(headers, 'if-modified-since'), now);
  // Not by its Date, which RFC 9111 4.3.2 would allow: within a second there may have been another response.
  return since !== undefined && response.modifiedAt !== undefined && response.modifiedAt <= since
    ? 'not-modified'
    : 'send';
}

/** Whether to answer 304: If-None-Match by weak comparison, else If-Modified-Since. */
export function notModified(response: Validated, request: RequestHead, now: number): boolean {
  return evaluatePreconditions(response, request, now) === 'not-modified';
}

function matches(text: string, etag: string | undefined, match: (a: string, b: string) => boolean): boolean {
  if (text === etag && match(text, etag)) return true;
  if (text.trim() === '*') return true;
  return etag !== undefined && entityTags(text).some((tag) => match(tag, etag));
}
