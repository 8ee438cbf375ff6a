import { rawRequestOf } from './raw-exchange.js';

/** A client's conditions and range: about what it has, not about what the handler makes. */
export const CONDITION_HEADERS: readonly string[] = [
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'range',
];

export interface WithheldHeaders {
  /** What was taken out, by lower-case name. */
  readonly values: Readonly<Record<string, string | readonly string[]>>;
  restore(): void;
}

/**
 * Takes header fields out of a request, e.g. `CONDITION_HEADERS` while the response to be stored is made: with them Express (`res.send`),
 * etag plugins and handlers would answer 304 or 206 to one client, and there would be nothing to store.
 */
export function withholdHeaders(request: unknown, names: readonly string[]): WithheldHeaders {
  const { headers } = rawRequestOf(request);
  const values: Record<string, string | readonly string[]> = {};
  for (const name of names) {
    const value = headers[name];
    if (value === undefined) continue;
    values[name] = value;
    delete headers[name];
  }
  return {
    values,
    restore: () => {
      Object.assign(headers, values);
    },
  };
}
