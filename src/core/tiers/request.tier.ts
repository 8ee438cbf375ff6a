import { isAlive } from '../tokens/epoch.js';
import type { Found } from './found.js';
import type { RequestScope } from './request.scope.js';

/** What this request has already seen of a key. Holds for the whole request, whatever the entry's lifetime, unless its tags were invalidated. */
export function recall(scope: RequestScope, namespace: string, key: string): Found | undefined {
  const found = scope.entries.get(namespace)?.get(key) as Found | undefined;
  return found && isAlive(found.fence) ? { ...found, tier: 'request', freshUntil: Infinity } : undefined;
}

export function remember(scope: RequestScope, namespace: string, key: string, found: Found): void {
  scope.keep(scope.entries, namespace, key, found);
}

export function forget(scope: RequestScope, namespace: string, key: string): void {
  scope.entries.get(namespace)?.delete(key);
}
