/** Why a call goes past the cache: neither looked up nor stored. For `Cache-Status` (RFC 9211 `detail`) and logs. */
export type BypassReason =
  /** Neither GET nor HEAD; a mutation; a GraphQL field of another object. */
  | 'method'
  /** A GET with a body: no key covers it (RFC 9110 9.3.1). */
  | 'body'
  /** The policy's `bypass` said so. */
  | 'policy'
  /** The request says who asks, and the policy declares no principal. */
  | 'credentials'
  /** The policy declares a principal, and this request has none. */
  | 'principal'
  /** The client accepts none of the declared representations. */
  | 'representation'
  /** What the call is about cannot be written as a key. */
  | 'payload'
  /** A custom key function gave nothing. */
  | 'key';

/** What a key component answers instead of a part, when there is no key for this call. */
export class Bypass {
  constructor(readonly reason: BypassReason) {}
}
