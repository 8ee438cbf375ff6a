import { Inject, Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import { SSE_METADATA } from '@nestjs/common/constants.js';
import { defer, Observable, throwError, type Subscription } from 'rxjs';
import { isStream } from '../../http/wire/handler-watch.js';
import { lockedHttpCall } from './cache-lock.guard.js';
import { cacheLockOfCall } from './cache-lock.metadata.js';
import type { CacheLockPlan } from './cache-lock.options.js';
import { HttpLockedCall } from './http-locked-call.js';
import { LockCalls } from './lock-calls.js';
import { isWithin, LockedCall, runAs, type RunEnd } from './locked-call.js';

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
    return call ? this.run(call, plan, context, next) : throwError(() => this.calls.lost(context, undefined));
  }

  /** Where no event would tell that an interceptor between guard and handler has refused the call. */
  private takeAndRun(plan: CacheLockPlan, context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return new Observable((subscriber) => {
      const leaving = new AbortController();
      subscriber.add(() => leaving.abort());
      this.calls.take(context, plan, leaving.signal).then(
        (lease) => {
          if (subscriber.closed) return void lease.release();
          subscriber.add(this.run(new LockedCall(lease, plan.mode), plan, context, next).subscribe(subscriber));
        },
        (error: unknown) => subscriber.error(error),
      );
    });
  }

  private run(
    call: LockedCall,
    plan: CacheLockPlan,
    context: ExecutionContext,
    next: CallHandler,
  ): Observable<unknown> {
    const isTornDown = plan.onCancel === 'teardown' || Reflect.hasMetadata(SSE_METADATA, context.getHandler());
    return new Observable((subscriber) => {
      if (!call.begin()) return subscriber.error(this.calls.lost(context, call.lease.loss));
      let work: Subscription | undefined;
      let end = (_how: RunEnd, _tell: () => void): void => undefined;
      // Its promise is pending as long as the work: what is read through the cache until then is read inside the lock.
      const begin = (): Promise<void> =>
        new Promise<void>((over) => {
          end = (how, tell) => {
            end = () => undefined;
            over();
            void call.end(how, !subscriber.closed).then(tell);
          };
          work = defer(() => next.handle()).subscribe({
            next: (value) => {
              const isWithheld = plan.onLost === 'fail' && call.lease.loss;
              if (isWithheld) return end('failed', () => subscriber.error(this.calls.lost(context, call.lease.loss)));
              if (call instanceof HttpLockedCall) call.isStream = isStream(value);
              subscriber.next(value);
            },
            error: (error: unknown) => end('failed', () => subscriber.error(error)),
            complete: () => end('done', () => subscriber.complete()),
          });
        });
      void this.calls.locks.within(call.lease, () => runAs(call, context, begin));
      return () => {
        if (!isTornDown) return;
        work?.unsubscribe();
        end('torn-down', () => undefined);
      };
    });
  }
}
