import type { RequestHead, ResponseHead } from './fields/fields.js';
import type { Timing } from './freshness.js';

/** A request and the answer it got. */
export interface Exchange extends Timing {
  readonly request: RequestHead;
  readonly response: ResponseHead;
  /** What came of the body, once it ended. To be asked before (head only) and after it was read. */
  readonly body?: { readonly bytes: number; readonly isComplete: boolean };
}
