import type { ExecutionContext } from '@nestjs/common';
import { writesResponse } from '../../http/policy/writes-response.js';
import { rawResponseOf } from '../../http/wire/raw-exchange.js';
import type { CacheLockPlan } from './cache-lock.options.js';
import { HttpLockedCall, isOver } from './http-locked-call.js';
import type { LockCalls } from './lock-calls.js';
import { LockRefusedException } from './lock-refused.exception.js';

/**
 * Locks an HTTP request from here to its end. Who leaves while it waits leaves the queue.
 * @throws what `map`, or the application, makes of a refusal
 */
export async function lockHttpCall(
  calls: LockCalls,
  context: ExecutionContext,
  plan: CacheLockPlan,
  map?: (refusal: LockRefusedException) => unknown,
): Promise<HttpLockedCall> {
  const response = rawResponseOf(context.switchToHttp().getResponse());
  const leaving = new AbortController();
  const leave = (): void => leaving.abort();
  response.once('close', leave);
  try {
    if (isOver(response)) leave();
    const lease = await calls.take(context, plan, leaving.signal, map);
    if (leaving.signal.aborted || isOver(response)) {
      await lease.release();
      throw calls.refuse(context, new LockRefusedException('client_closed', 503));
    }
    const answers = writesResponse(context.getClass(), context.getHandler() as (...args: never[]) => unknown);
    return new HttpLockedCall(lease, response, plan.mode, answers);
  } finally {
    response.off('close', leave);
  }
}
