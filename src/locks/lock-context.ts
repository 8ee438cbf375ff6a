import { OwnStorage } from '../core/own-storage.js';
import type { Lease } from './lease.js';

interface Held {
  readonly lease: Lease;
  readonly outer: Held | undefined;
}

/** The leases around the running code. The AsyncLocalStorage is made at the first use: who never locks never pays for it. */
export class LockContext {
  private storage: OwnStorage<Held> | undefined;

  run<T>(lease: Lease, fn: () => T): T {
    this.storage ??= new OwnStorage<Held>();
    return this.storage.run({ lease, outer: this.storage.getStore() }, fn);
  }

  /** The innermost first. Ended and lost ones are left out: detached work inherits the context and outlives the lease. */
  *leases(): Generator<Lease> {
    for (let held = this.storage?.getStore(); held; held = held.outer) if (held.lease.isHeld) yield held.lease;
  }
}
