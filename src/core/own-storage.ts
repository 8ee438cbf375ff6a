import { AsyncLocalStorage } from 'node:async_hooks';

/** The same for every copy of this package in a process. */
const OWN = Symbol.for('nestjs-tiered-cache:own-storage');

/** An AsyncLocalStorage of this package. What it holds is no input of a handler. */
export class OwnStorage<T> extends AsyncLocalStorage<T> {
  readonly [OWN] = true;
}

/** Whether a storage is this package's, or another copy's. */
export function isOwnStorage(storage: object): boolean {
  return OWN in storage;
}
