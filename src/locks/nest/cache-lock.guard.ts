import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { cacheLockOfCall } from './cache-lock.metadata.js';
import type { CacheLockPlan } from './cache-lock.options.js';
import type { HttpLockedCall } from './http-locked-call.js';
import { idempotentCall } from './idempotent-call.js';
import { LockCalls } from './lock-calls.js';
import { lockHttpCall } from './lock-http-call.js';
import { assertRootField } from './root-field.js';

type Handler = (...args: never[]) => unknown;

/** The calls that hold a lock, by request: guards and interceptors are given different contexts. A request may pass several handlers. */
const calls = new WeakMap<object, Map<Handler, HttpLockedCall>>();

/** The call that the guard has locked. */
export function lockedHttpCall(context: ExecutionContext): HttpLockedCall | undefined {
  return calls.get(context.switchToHttp().getRequest())?.get(context.getHandler() as Handler);
}

/** Takes the lock of an HTTP request before any interceptor begins; what has no response leaves it to CacheLockInterceptor. */
@Injectable()
export class CacheLockGuard implements CanActivate {
  constructor(@Inject(LockCalls) private readonly calls: LockCalls) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const plan = cacheLockOfCall(context);
    const kind = context.getType<string>();
    if (plan && kind === 'graphql') assertRootField(context);
    if (!plan || kind !== 'http' || lockedHttpCall(context)) return true;
    // The handler will not run.
    if (idempotentCall(context)?.replay) return true;
    await this.lock(context, plan);
    return true;
  }

  private async lock(context: ExecutionContext, plan: CacheLockPlan): Promise<void> {
    const request = context.switchToHttp().getRequest<object>();
    const call = await lockHttpCall(this.calls, context, plan);
    const locked = calls.get(request) ?? new Map<Handler, HttpLockedCall>();
    calls.set(request, locked.set(context.getHandler() as Handler, call));
  }
}
