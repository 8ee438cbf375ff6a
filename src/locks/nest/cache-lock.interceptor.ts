import { Inject, Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import { Observable, throwError } from 'rxjs';
import { lockedHttpCall } from './cache-lock.guard.js';
import { cacheLockOfCall } from './cache-lock.metadata.js';
import type { CacheLockPlan } from './cache-lock.options.js';
import { LockCalls } from './lock-calls.js';
import { isWithin, LockedCall } from './locked-call.js';
import { runLocked } from './run-locked.js';

/** Runs the handler under the lock, to its end, whatever becomes of who listens; without a lock it does not run. */
@Injectable()
export class CacheLockInterceptor implements NestInterceptor {
  constructor(@Inject(LockCalls) private readonly calls: LockCalls) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const plan = cacheLockOfCall(context);
    if (!plan) return next.handle();
    const call = context.getType() === 'http' ? lockedHttpCall(context) : undefined;
    // Registered by the class and by the handler, it is around itself.
    if (isWithin(call, context)) return next.handle();
    if (context.getType() !== 'http') return this.takeAndRun(plan, context, next);
    return call
      ? runLocked(this.calls, call, plan, context, next)
      : throwError(() => this.calls.lost(context, undefined));
  }

  /** Where no event would tell that an interceptor between guard and handler has refused the call. */
  private takeAndRun(plan: CacheLockPlan, context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return new Observable((subscriber) => {
      const leaving = new AbortController();
      subscriber.add(() => leaving.abort());
      this.calls.take(context, plan, leaving.signal).then(
        (lease) => {
          if (subscriber.closed) return void lease.release();
          subscriber.add(
            runLocked(this.calls, new LockedCall(lease, plan.mode), plan, context, next).subscribe(subscriber),
          );
        },
        (error: unknown) => subscriber.error(error),
      );
    });
  }
}
