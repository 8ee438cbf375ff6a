import type { ServerResponse } from 'node:http';
import type { TapOutcome, UnusableReason } from './captured.js';
import type { HeaderChanges, HeaderFields } from './header-fields.js';

/** Status and headers as the application wrote them, before anything is sent. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: HeaderFields;
}

/** What is sent instead of what the application wrote: these fields and those of the baseline. */
export interface Replacement {
  readonly status: number;
  /** `undefined` removes a field of the baseline. Content-Length is computed. */
  readonly headers: HeaderChanges;
  readonly body?: Uint8Array;
}

export type TapDecision =
  /** Goes out, with `headers` changed. `capture: false` keeps no bytes (the outcome is `declined`). */
  | { readonly action: 'pass'; readonly headers?: HeaderChanges; readonly capture?: boolean }
  /** Nothing of it goes out: at its end `replaceWith` says what is sent. For a response that comes whole, that is at once. */
  | { readonly action: 'swallow'; readonly replaceWith: (outcome: TapOutcome) => Replacement };

export interface TapOptions {
  /** Bytes of body that are kept; a longer one streams through and its buffers are let go of. */
  readonly maxBytes: number;
  /** Fields set before the handler ran (`baselineOf`): a replacement keeps them. */
  readonly baseline?: HeaderFields;
  /**
   * Called once, before anything is sent. `body` is there when the response is written by a single `end(body)`, has content and is not longer
   * than `maxBytes`. When it throws, the response passes and the outcome is `failed`.
   */
  readonly decide?: (head: ResponseHead, body: Buffer | undefined) => TapDecision;
}

/** What `tapResponse` gives. */
export interface ResponseTap {
  /** Never rejects. Settles at the end of the response, earlier if it turns out unusable. */
  readonly finished: Promise<TapOutcome>;
  /** The application has begun to write: status and headers are settled. */
  readonly begun: boolean;
  /** The application has written the end. */
  readonly ended: boolean;
  readonly response: ServerResponse;
  /** Gives the capture up (what is sent is not touched), e.g. when the handler failed half-way. Nothing happens after it has settled. */
  fail(reason: UnusableReason, error?: unknown): void;
}
