import type { HeaderFields } from './header-fields.js';

/** A whole response as the application wrote it. */
export interface Captured {
  readonly status: number;
  /** As the application wrote them: before the changes of `decide` and before listeners such as compression's or a session's changed them. */
  readonly headers: HeaderFields;
  /** The bytes, before compression by a middleware. Empty for HEAD, 204 and 304. */
  readonly body: Buffer;
  /** Fields that appeared after the application had written its headers, e.g. the `set-cookie` of a session. Lower case. */
  readonly addedLate: readonly string[];
}

/**
 * Why there are no bytes to keep:
 * - `too-large`: more than `maxBytes`; it went through unmodified;
 * - `aborted`: cut off half-way, shorter or longer than its Content-Length, or never written (the client had left);
 * - `trailers`: it has trailer fields;
 * - `declined`: `decide` asked not to capture;
 * - `bypassed`: somebody wrote past the tap;
 * - `failed`: `decide` threw (`error` says what);
 * - `not-reached`: a detached request was answered before the interceptor (by a guard, a filter, another route);
 * - `timeout`: a detached request was stopped by its signal.
 */
export type UnusableReason =
  'too-large' | 'aborted' | 'trailers' | 'declined' | 'bypassed' | 'failed' | 'not-reached' | 'timeout';

export interface Unusable {
  readonly reason: UnusableReason;
  /** Status that was sent, as far as one was. */
  readonly status?: number;
  readonly error?: unknown;
  /** Aborted, and not by the application: its client has left. */
  readonly hasClientLeft?: true;
}

export type TapOutcome = Captured | Unusable;

export function isCaptured(outcome: TapOutcome): outcome is Captured {
  return 'body' in outcome;
}
