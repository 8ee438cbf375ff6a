import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { rawResponseOf } from '../../http/wire/raw-exchange.js';
import { writesResponse } from '../../http/policy/writes-response.js';
import { cacheLockOfCall } from './cache-lock.metadata.js';
import type { CacheLockPlan } from './cache-lock.options.js';
import { HttpLockedCall, isOver } from './http-locked-call.js';
import { LockCalls } from './lock-calls.js';
import { LockRefusedException } from './lock-refused.exception.js';
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
    await this.lock(context, plan);
    return true;
  }

  private async lock(context: ExecutionContext, plan: CacheLockPlan): Promise<void> {
    const request = context.switchToHttp().getRequest<object>();
    const response = rawResponseOf(context.switchToHttp().getResponse());
    const handler = context.getHandler() as Handler;
    const leaving = new AbortController();
    const leave = (): void => leaving.abort();
    response.once('close', leave);
    try {
      if (isOver(response)) leave();
      const lease = await this.calls.take(context, plan, leaving.signal);
      if (leaving.signal.aborted || isOver(response)) {
        await lease.release();
        throw this.calls.refuse(context, new LockRefusedException('client_closed', 503));
      }
      const answers = writesResponse(context.getClass(), handler);
      const locked = calls.get(request) ?? new Map<Handler, HttpLockedCall>();
      calls.set(request, locked.set(handler, new HttpLockedCall(lease, response, plan.mode, answers)));
    } finally {
      response.off('close', leave);
    }
  }
}
