import { fieldText, hasField, type RequestHead } from './fields/fields.js';
import type { CachePolicy } from './cache-policy.js';

/** Why a request passes the cache by, untouched and unstored. */
export type Bypass = 'method' | 'body' | 'authorization' | 'no-principal' | 'precondition' | 'upgrade';

/**
 * Whether a request has nothing to do with the cache: neither looked up nor stored. `undefined`: go on.
 * @param principal whose response it is, where the view is private. Without one there is nobody to keep it for: never "anonymous".
 */
export function bypass(request: RequestHead, policy: CachePolicy, principal?: string): Bypass | undefined {
  const { method, headers } = request;
  if (method !== 'GET' && method !== 'HEAD') return 'method';
  // A body is no part of the key: who can send one could poison the entry for everybody.
  const length = fieldText(headers, 'content-length');
  if (hasField(headers, 'transfer-encoding') || (length !== undefined && length.trim() !== '0')) return 'body';
  if (hasField(headers, 'upgrade') && /\bupgrade\b/i.test(fieldText(headers, 'connection') ?? '')) return 'upgrade';
  if (policy.view === 'private') return principal ? undefined : 'no-principal';
  if (policy.authorization === 'bypass' && hasField(headers, 'authorization')) return 'authorization';
  // These ask the origin, not a cache (RFC 9111 4.3.2); in ttl mode the application is the origin and we answer for it.
  const asksOrigin = hasField(headers, 'if-match') || hasField(headers, 'if-unmodified-since');
  return policy.mode === 'rfc' && asksOrigin ? 'precondition' : undefined;
}

/** Fields that rewrite what was asked for. Unless they are in the key, a handler must not see them while filling (cache poisoning). */
export const REWRITING_FIELDS: ReadonlySet<string> = new Set([
  'x-forwarded-host',
  'x-forwarded-scheme',
  'x-forwarded-prefix',
  'x-forwarded-server',
  'x-host',
  'x-original-host',
  'x-original-url',
  'x-rewrite-url',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
]);
