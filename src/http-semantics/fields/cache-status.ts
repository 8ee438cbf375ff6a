import { structuredString, tokenOrString } from './structured-field.js';
import type { FieldValue } from './fields.js';

/** What this cache did with a request (RFC 9211). Times in milliseconds. */
export interface CacheStatus {
  /** The name of this cache. */
  readonly cache: string;
  readonly hit?: boolean;
  /** Why the request went forward. */
  readonly fwd?: 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'miss' | 'request' | 'stale' | 'partial';
  /** The status the next hop answered with, where it differs from the one sent on. */
  readonly fwdStatus?: number;
  /** Freshness left; negative once stale. */
  readonly ttl?: number;
  readonly stored?: boolean;
  /** `false`: waited for another's request, but could not share its answer. */
  readonly collapsed?: boolean;
  /** For debugging only: keys tell what users ask for. */
  readonly key?: string;
  readonly detail?: string;
}

/** Appends our member to a Cache-Status field, behind those of caches nearer to the origin. */
export function appendCacheStatus(existing: FieldValue | undefined, status: CacheStatus, ttl = status.ttl): string {
  const before = existing === undefined || typeof existing === 'string' ? existing : existing.join(', ');
  return before ? `${before}, ${formatCacheStatus(status, ttl)}` : formatCacheStatus(status, ttl);
}

/** @example formatCacheStatus({ cache: 'app', hit: true, ttl: 9_500 }) // app; hit; ttl=9 */
export function formatCacheStatus(status: CacheStatus, ttl = status.ttl): string {
  let text = tokenOrString(status.cache);
  if (status.hit) text += '; hit';
  else if (status.fwd) text += `; fwd=${status.fwd}`;
  if (status.fwdStatus !== undefined && !status.hit) text += `; fwd-status=${status.fwdStatus}`;
  if (ttl !== undefined) text += `; ttl=${Math.floor(ttl / 1000)}`;
  if (status.stored) text += '; stored';
  if (status.collapsed !== undefined) text += status.collapsed ? '; collapsed' : '; collapsed=?0';
  if (status.key !== undefined) text += `; key=${structuredString(status.key)}`;
  if (status.detail !== undefined) text += `; detail=${tokenOrString(status.detail)}`;
  return text;
}
