import { OwnStorage } from '../../core/own-storage.js';
import type { ExecutionContext } from '@nestjs/common';
import type { Lease } from '../lease.js';

/** How one run of a handler has ended. `torn-down`: it was unsubscribed from. */
export type RunEnd = 'done' | 'failed' | 'torn-down';

/** One call that holds a lock. Outside HTTP it gives it up as soon as its work is over. */
export class LockedCall {
  /** More than one run is possible, one after the other: an interceptor outside may try again. */
  protected running = 0;
  protected lastEnd: RunEnd | undefined;
  protected isOver = false;
  /** What is to be done with the lock in hand when all is over. Must not reject. */
  conclude: ((lastEnd: RunEnd | undefined) => Promise<void>) | undefined;

  constructor(
    readonly lease: Lease,
    /** `once`: a success keeps the lock to the end of its lease. */
    private readonly mode: 'mutex' | 'once' = 'mutex',
  ) {}

  /** The handler is about to run; `false`: it must not. */
  begin(): boolean {
    if (this.isOver || !this.lease.isHeld) return false;
    this.running++;
    return true;
  }

  /** Resolves when a caller may be told. `isHeard`: somebody still listens. */
  async end(end: RunEnd, _isHeard: boolean): Promise<void> {
    this.running--;
    this.lastEnd = end;
    await this.giveUp();
  }

  /** Never rejects. */
  protected async giveUp(): Promise<void> {
    if (this.isOver) return;
    this.isOver = true;
    await this.conclude?.(this.lastEnd);
    await (this.mode === 'once' && this.lastEnd === 'done' ? this.lease.keep() : this.lease.release());
  }
}

interface Around {
  readonly call: LockedCall;
  readonly context: ExecutionContext;
  readonly outer: Around | undefined;
}

/** Of a process, but never shared: what is in it belongs to one call. Made at the first use. */
let carrier: OwnStorage<Around> | undefined;

/** Runs what belongs to a call: its pipes, its handler, and what these begin. */
export function runAs<T>(call: LockedCall, context: ExecutionContext, fn: () => T): T {
  carrier ??= new OwnStorage();
  return carrier.run({ call, context, outer: carrier.getStore() }, fn);
}

/** The call around the running code, if it is of this handler. */
export function callAround(context: ExecutionContext): LockedCall | undefined {
  const around = carrier?.getStore();
  const isSame = around?.context.getHandler() === context.getHandler();
  return isSame && around?.context.getClass() === context.getClass() ? around.call : undefined;
}

/** Whether the running code is what `call` or, where that is not known yet, an interceptor with this very context has begun. */
export function isWithin(call: LockedCall | undefined, context: ExecutionContext): boolean {
  for (let around = carrier?.getStore(); around; around = around.outer)
    if (call ? around.call === call : around.context === context) return true;
  return false;
}
