import { OwnStorage } from '../core/own-storage.js';
import type { OpenScope, RequestAtHand } from './scope-of-request.js';

/** Of all applications of the process. */
const storages = new Set<OwnStorage<OpenScope>>();

/** The scopes of one application. */
export function newScopes(): OwnStorage<OpenScope> {
  const storage = new OwnStorage<OpenScope>();
  storages.add(storage);
  return storage;
}

export function removeScopes(storage: OwnStorage<OpenScope>): void {
  storages.delete(storage);
}

/** Something that is the same for all code that runs for one HTTP request, and for no other; `undefined` if nobody knows. */
export function requestAtHand(): RequestAtHand | undefined {
  for (const storage of storages) {
    const request = storage.getStore()?.ofRequest;
    if (request !== undefined) return request;
  }
  return undefined;
}
