export { isCaptured, type Captured, type TapOutcome, type Unusable, type UnusableReason } from './captured.js';
export { baselineOf, headerFields, ownHeaders, type HeaderChanges, type HeaderFields } from './header-fields.js';
export { restoreHead, statusOf } from './response-head.js';
export { rawRequestOf, rawResponseOf } from './raw-exchange.js';
export {
  tapOf,
  tapResponse,
  type Replacement,
  type ResponseHead,
  type ResponseTap,
  type TapDecision,
  type TapOptions,
} from './response-tap.js';
export { isStream, watchHandler } from './handler-watch.js';
export { answer } from './replay.js';
export type { Answer } from './pending-answer.js';
export { patchAdapter } from './adapter.patch.js';
export { detachedRequestOf, type DetachedRequest } from './detached-request.js';
export { detachedTaskOf, dispatchDetached, type DetachedDispatchOptions } from './detached-dispatch.js';
export { CONDITION_HEADERS, withholdHeaders, type WithheldHeaders } from './withheld-headers.js';
