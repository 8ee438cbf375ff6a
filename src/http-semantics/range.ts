import { strongMatch } from './fields/entity-tag.js';
import { fieldText, type RequestHead } from './fields/fields.js';
import { parseHttpDate } from './fields/http-date.js';
import type { Validated } from './not-modified.js';

/** What part of a complete body to send; `end` is exclusive, as in `subarray(start, end)`. */
export type RangeOutcome =
  | { readonly part: 'full' }
  | { readonly part: 'range'; readonly start: number; readonly end: number; readonly contentRange: string }
  | { readonly part: 'unsatisfiable'; readonly contentRange: string };

const FULL: RangeOutcome = { part: 'full' };
const SINGLE_RANGE = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i;

/**
 * Answers `Range` from a stored, complete 200 to GET (RFC 9110 14.2). One range is cut out; several, other units and bad syntax are ignored, as is a
 * range whose `If-Range` does not match strongly.
 * @param length of the stored body, in bytes
 */
export function range(response: Validated, request: RequestHead, length: number, now: number): RangeOutcome {
  const field = fieldText(request.headers, 'range');
  if (field === undefined || request.method !== 'GET' || response.status !== 200) return FULL;
  const found = SINGLE_RANGE.exec(field.trim());
  const [, first, last] = found ?? [];
  if (!found || (first === '' && last === '') || !ifRange(response, request, now)) return FULL;
  if (first === '') return part(Math.max(0, length - Number(last)), length, length);
  if (last !== '' && Number(last) < Number(first)) return FULL;
  return part(Number(first), last === '' ? length : Math.min(Number(last) + 1, length), length);
}

function part(start: number, end: number, length: number): RangeOutcome {
  if (start >= length) return { part: 'unsatisfiable', contentRange: `bytes */${length}` };
  return { part: 'range', start, end, contentRange: `bytes ${start}-${end - 1}/${length}` };
}

/** A date is a strong validator only if the response was made at least a second after it (RFC 9110 8.8.2.2). */
function ifRange(response: Validated, request: RequestHead, now: number): boolean {
  const condition = fieldText(request.headers, 'if-range')?.trim();
  if (condition === undefined) return true;
  if (condition.includes('"')) return response.etag !== undefined && strongMatch(condition, response.etag);
  const at = parseHttpDate(condition, now);
  return at !== undefined && at === response.modifiedAt && response.date - at >= 1000;
}
