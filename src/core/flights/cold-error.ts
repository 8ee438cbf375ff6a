import { COLD_CODE } from '../errors/cache.error.js';
import type { Namespace } from '../namespace.js';

/** @param leaseMs when to ask again for want of experience with this namespace's loaders */
export function coldError(namespace: Namespace, key: string, leaseMs: number): Error {
  return namespace.newColdError(key, namespace.usualLoadMs || leaseMs);
}

/** Whatever class an application has for it. */
export function isCold(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === COLD_CODE;
}
