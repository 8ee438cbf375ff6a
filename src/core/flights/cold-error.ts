import { COLD_CODE } from '../errors/cache.error.js';
import type { Namespace } from '../namespace.js';

/**
 * Without a stack: it is thrown by the thousand just when processors are short, to look for one takes three times as long as all else of a
 * refusal's error, and which value was asked for is told by its key.
 * @param leaseMs when to ask again for want of experience with this namespace's loaders
 */
export function coldError(namespace: Namespace, key: string, leaseMs: number): Error {
  const { stackTraceLimit } = Error;
  // Not by assignments, which throw where intrinsics are frozen.
  Reflect.set(Error, 'stackTraceLimit', 0);
  try {
    return namespace.newColdError(key, namespace.usualLoadMs || leaseMs);
  } finally {
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit);
  }
}

/** Whatever class an application has for it. */
export function isCold(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === COLD_CODE;
}
