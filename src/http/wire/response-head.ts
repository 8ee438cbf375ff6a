import { baselineOf, sameValue, type HeaderFields } from './header-fields.js';
import { rawResponseOf } from './raw-exchange.js';

/** What Nest hands out, Express' response or Fastify's reply, as far as both have it. */
interface Carrier {
  statusCode?: number;
  removeHeader(name: string): unknown;
  header(name: string, value: unknown): unknown;
}

/** The status set so far. */
export function statusOf(response: unknown): number {
  return (response as Carrier).statusCode ?? rawResponseOf(response).statusCode;
}

/** Takes back what a handler has set, so that another run of it starts as the first one did. Nothing must have been sent. */
export function restoreHead(response: unknown, status: number, baseline: HeaderFields): void {
  const carrier = response as Carrier;
  const now = baselineOf(response);
  for (const name of Object.keys(now)) {
    const before = baseline[name];
    if (before !== undefined && sameValue(before, now[name]!)) continue;
    carrier.removeHeader(name);
    if (before !== undefined) carrier.header(name, before);
  }
  const raw = rawResponseOf(response);
  raw.statusCode = status;
  if (raw.statusMessage) raw.statusMessage = '';
}
