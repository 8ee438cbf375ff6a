import type { ServerResponse } from 'node:http';
import type { HeaderFields } from './header-fields.js';
import { rawResponseOf } from './raw-exchange.js';

/** A response to be written as it is. */
export interface Answer {
  readonly status: number;
  /** Lower-case names. Content-Length is computed, but for HEAD without a body; hop-by-hop fields are left out. */
  readonly headers: HeaderFields;
  /** Of a HEAD: only its length is sent. Of 204 and 304: nothing. */
  readonly body?: Buffer;
  /** Fields not to be sent, whoever has set them. */
  readonly removed?: readonly string[];
  /** What comes behind fields that are set. */
  readonly appended?: HeaderFields;
}

/** Where Nest replies after the interceptors of a route. */
export type Exit = 'reply' | 'redirect' | 'render';

export interface PendingAnswer {
  readonly stored: Answer;
  readonly marker: unknown;
  readonly exit: Exit;
  /** URL or template of the route, when it exits by redirect or render. */
  readonly target: unknown;
  /** Of the stored fields, those that were set when the answer was found: what differs later was set by outer interceptors. */
  readonly before: HeaderFields;
  /** The response's status then. */
  readonly statusBefore: number;
}

const PENDING = Symbol('nestjs-tiered-cache:pending-answer');

/** On the response itself: a WeakMap of short-lived objects costs the garbage collector more than a hit has. */
type Awaiting = ServerResponse & { [PENDING]?: PendingAnswer | undefined };

export function expectAnswer(response: unknown, answer: PendingAnswer): void {
  (rawResponseOf(response) as Awaiting)[PENDING] = answer;
}

/**
 * The stored response, if it is what this exit is about. An error (or whatever else an exception filter or an outer interceptor answers by
 * itself) goes out by another exit, with a status, or after the status was set to one of an error; then the stored response is dropped.
 */
export function takeAnswer(
  response: unknown,
  exit: Exit,
  body: unknown,
  status: number | null | undefined,
): PendingAnswer | undefined {
  const raw = rawResponseOf(response) as Awaiting;
  const found = raw[PENDING];
  if (!found) return undefined;
  raw[PENDING] = undefined;
  if (found.exit !== exit) return undefined;
  if (exit !== 'reply') return found.target === body ? found : undefined;
  if (body === found.marker) return found;
  const asError = raw.statusCode >= 400 && raw.statusCode !== found.statusBefore;
  return asError || (status !== undefined && status !== null) ? undefined : found;
}
