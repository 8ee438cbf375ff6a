export { isCaptured, type Captured, type TapOutcome, type Unusable, type UnusableReason } from './captured.js';
export {
  baselineOf,
  headerFields,
  ownHeaders,
  withAppended,
  type HeaderChanges,
  type HeaderFields,
} from './header-fields.js';
export { restoreHead, statusOf } from './response-head.js';
export { rawRequestOf, rawResponseOf } from './raw-exchange.js';
export { tapOf, tapResponse } from './response-tap.js';
export type { Replacement, ResponseHead, ResponseTap, TapDecision, TapOptions } from './tap.options.js';
export { isStream, watchHandler } from './handler-watch.js';
export { holdAnswer, type BeforeAnswer } from './held-answer.js';
export { answer } from './replay.js';
export { writeAtOnce } from './write-answer.js';
export type { Answer } from './pending-answer.js';
export { patchAdapter } from './adapter.patch.js';
export { detachedRequestOf, type DetachedRequest } from './detached-request.js';
export { detachedTaskOf, dispatchDetached, type DetachedDispatchOptions } from './detached-dispatch.js';
