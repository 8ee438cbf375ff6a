import type { Fields, FieldValue } from '../http-semantics/fields/fields.js';
import type { StoredResponse } from '../http-semantics/stored-response.js';

/** What a handler did to fields that are set anew for each request: with its page it is done again. */
export interface FieldChanges {
  /** Names of those that it took off. */
  readonly removed?: readonly string[];
  /** What it put behind them. */
  readonly appended?: Fields;
}

/** What describes the body, or who may have it: the page's own, whoever has set it. */
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

/** Of one connection, or computed where bytes are written. */
const OF_THE_WIRE = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'date', 'set-cookie']);

/** Fields that were there before the handler, and are as they were. */
export function isTheirs(name: string, value: FieldValue | undefined, baseline: Fields): boolean {
  const before = Object.hasOwn(baseline, name) ? baseline[name] : undefined;
  return before !== undefined && String(before) === String(value) && !OF_THE_PAGE.has(name);
}

/** What comes after what was there before the handler; `undefined`: it wrote something else. */
export function appendedTo(baseline: Fields, name: string, value: FieldValue): FieldValue | undefined {
  const before = Object.hasOwn(baseline, name) ? baseline[name] : undefined;
  if (before === undefined || OF_THE_PAGE.has(name)) return undefined;
  if (typeof value === 'string')
    return typeof before === 'string' && value.startsWith(`${before}, `) ? value.slice(before.length + 2) : undefined;
  const lines = [before].flat();
  return value.length > lines.length && lines.every((line, at) => line === value[at])
    ? value.slice(lines.length)
    : undefined;
}

/** Names that were there before the handler, and are not sent. What is `stored` grants lifetimes itself: an `Expires` is not sent with it. */
export function removedOf(baseline: Fields, sent: Fields, { promise }: StoredResponse): string[] {
  const isGranted = !('verbatim' in promise);
  return Object.keys(baseline).filter(
    (name) => (sent[name] === undefined && !OF_THE_WIRE.has(name)) || (name === 'expires' && isGranted),
  );
}
