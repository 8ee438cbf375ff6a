import { carry } from './scope-carrier.js';

/**
 * Runs `fn` as if it were a request of its own: what is read or set in it is remembered until it has returned or settled, and is then
 * forgotten. For jobs, queue consumers, scripts: wherever no HTTP request is at hand. Inside a request it opens a fresh scope.
 *
 * It needs no application at hand: each Nest application that is used inside keeps a scope of its own, so two do not meet. An
 * application with `requestTier: false` ignores it.
 * @returns what `fn` returns
 * @example await runInCacheScope(() => this.importBooks())
 */
export function runInCacheScope<T>(fn: () => T): T {
  return carry(fn);
}
