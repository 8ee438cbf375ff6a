import type { Namespace } from '../namespace.js';
import { isAlive } from '../tokens/epoch.js';
import type { Found } from './found.js';
import type { RequestScope } from './request.scope.js';

/** What this request has already seen of a key. Holds for the whole request, whatever the entry's lifetime, unless its tags were invalidated. */
export function recall(scope: RequestScope, namespace: Namespace, key: string): Found | undefined {
  if (!namespace.isRecalled) return undefined;
  const found = scope.entries.get(namespace.name)?.get(key) as Found | undefined;
  return found && isAlive(found.fence) ? { ...found, tier: 'request', freshUntil: Infinity } : undefined;
}

/** What has to end with a grace is not remembered: a request may last longer. */
export function remember(scope: RequestScope, namespace: Namespace, key: string, found: Found): void {
  if (namespace.isRecalled && !found.isGraced) scope.keep(scope.entries, namespace.name, key, found);
}

/** As {@link remember}, of what was asked for when the request had made so many `changes`. */
export function rememberRead(
  scope: RequestScope,
  namespace: Namespace,
  key: string,
  found: Found,
  changes: number | undefined,
): void {
  if (scope.changes === changes) remember(scope, namespace, key, found);
}

export function forget(scope: RequestScope, namespace: Namespace, key: string): void {
  scope.changes++;
  scope.entries.get(namespace.name)?.delete(key);
}
