import { OwnStorage } from '../core/own-storage.js';
import { types } from 'node:util';
import type { RequestScope } from '../core/tiers/request.scope.js';

/** What {@link carry} opens: an empty hand, into which each application puts a scope of its own. */
export class CarriedScopes {
  readonly scopes = new Map<object, RequestScope>();
  isOpen = true;

  constructor(readonly order: number) {}

  end(): void {
    this.isOpen = false;
    for (const scope of this.scopes.values()) scope.end();
    this.scopes.clear();
  }
}

// Made at the first use, so that a process that never asks for it never pays for an AsyncLocalStorage.
let carrier: OwnStorage<CarriedScopes> | undefined;
let opened = 0;

/** Tells which of two scopes around the running code is the inner one: the later. */
export function nextOrder(): number {
  return ++opened;
}

/** The innermost open hand, if `carry` was called around the running code. */
export function carried(): CarriedScopes | undefined {
  const hand = carrier?.getStore();
  return hand?.isOpen === true ? hand : undefined;
}

/** Runs `fn` with a new empty hand that is closed when `fn` has returned or settled. */
export function carry<T>(fn: () => T): T {
  carrier ??= new OwnStorage<CarriedScopes>();
  const hand = new CarriedScopes(nextOrder());
  return endAfter(
    () => (carrier as OwnStorage<CarriedScopes>).run(hand, fn),
    () => hand.end(),
  );
}

/** Calls `end` once `fn` has returned, thrown, or its promise has settled. */
export function endAfter<T>(fn: () => T, end: () => void): T {
  let result: T;
  try {
    result = fn();
  } catch (error) {
    end();
    throw error;
  }
  if (types.isPromise(result)) void result.then(end, end);
  else end();
  return result;
}
