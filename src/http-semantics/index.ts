export { answer, type Answer, type AnswerOptions } from './answer.js';
export { bypass, REWRITING_FIELDS, type Bypass } from './bypass.js';
export { cachePolicy, type CachePolicy, type CachePolicyOptions } from './cache-policy.js';
export { ageSeconds, downstream } from './downstream.js';
export { MAX_SECONDS, parseCacheControl, type Directives } from './fields/cache-control.js';
export { cacheGroups, formatCacheGroups, groupInvalidations } from './fields/cache-groups.js';
export { appendCacheStatus, formatCacheStatus, type CacheStatus } from './fields/cache-status.js';
export { makeEntityTag, strongMatch, weakened, weakMatch } from './fields/entity-tag.js';
export {
  fieldLines,
  fieldText,
  hasField,
  withoutFields,
  type Fields,
  type FieldValue,
  type RequestHead,
  type ResponseHead,
} from './fields/fields.js';
export { hopByHop } from './fields/hop-by-hop.js';
export type { Exchange } from './exchange.js';
export { formatHttpDate, parseHttpDate } from './fields/http-date.js';
export { forwardedFields, validators } from './forwarded-fields.js';
export type { Timing } from './freshness.js';
export { invalidates, isUnsafe, type Invalidation } from './invalidates.js';
export { isOriginError, isShareable, judge, judgeMiss, type Judgement } from './judge.js';
export { merge304, mergeHead, type HeadEffect, type Merged } from './merge304.js';
export { formatNoVarySearch, noVarySearch } from './no-vary-search.js';
export { evaluatePreconditions, notModified, type Precondition, type Validated } from './not-modified.js';
export { range, type RangeOutcome } from './range.js';
export { canonicalQuery, primaryKey, type KeyParts, type QueryRules } from './request-key.js';
export { select } from './select.js';
export { isOfTheRequest, storable, type Refusal, type Storable } from './storable.js';
export { ageAt, markStale, remainingAt, usableUntil, type StoredResponse } from './stored-response.js';
export { mergeVary, variantKey, varyNames, varySelection, type VarySelection } from './vary.js';
