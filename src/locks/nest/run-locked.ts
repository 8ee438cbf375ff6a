import type { CallHandler, ExecutionContext } from '@nestjs/common';
import { SSE_METADATA } from '@nestjs/common/constants.js';
import { defer, Observable, type Subscription } from 'rxjs';
import { isStream } from '../../http/wire/handler-watch.js';
import type { CacheLockPlan } from './cache-lock.options.js';
import { HttpLockedCall } from './http-locked-call.js';
import type { LockCalls } from './lock-calls.js';
import { runAs, type LockedCall, type RunEnd } from './locked-call.js';

/** Runs the handler inside the lock of `call`, to its end whoever listens; not at all if the lock is not held any more. */
export function runLocked(
  calls: LockCalls,
  call: LockedCall,
  plan: Pick<CacheLockPlan, 'onCancel' | 'onLost'>,
  context: ExecutionContext,
  next: CallHandler,
): Observable<unknown> {
  const isTornDown = plan.onCancel === 'teardown' || Reflect.hasMetadata(SSE_METADATA, context.getHandler());
  return new Observable((subscriber) => {
    if (!call.begin()) return subscriber.error(calls.lost(context, call.lease.loss));
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
            if (isWithheld) return end('failed', () => subscriber.error(calls.lost(context, call.lease.loss)));
            if (call instanceof HttpLockedCall) call.isStream = isStream(value);
            subscriber.next(value);
          },
          error: (error: unknown) => end('failed', () => subscriber.error(error)),
          complete: () => end('done', () => subscriber.complete()),
        });
      });
    void calls.locks.within(call.lease, () => runAs(call, context, begin));
    return () => {
      if (!isTornDown) return;
      work?.unsubscribe();
      end('torn-down', () => undefined);
    };
  });
}
