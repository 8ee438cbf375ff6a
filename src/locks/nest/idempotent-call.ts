import type { ExecutionContext } from '@nestjs/common';
import type { CacheKey } from '../../core/cache.options.js';
import type { IdempotentPlan } from './idempotent.options.js';
import type { IdempotentRecord } from './idempotent-record.js';
import type { HttpLockedCall } from './http-locked-call.js';

/** A request that is carried out for the first time, or that was before. */
export type IdempotentCall =
  | { readonly replay: IdempotentRecord }
  | {
      readonly replay?: undefined;
      readonly locked: HttpLockedCall;
      readonly key: CacheKey;
      readonly fingerprint: string;
      readonly plan: IdempotentPlan;
    };

const calls = new WeakMap<object, Map<unknown, IdempotentCall>>();

export function idempotentCall(context: ExecutionContext): IdempotentCall | undefined {
  return calls.get(context.switchToHttp().getRequest())?.get(context.getHandler());
}

export function setIdempotentCall(context: ExecutionContext, call: IdempotentCall): void {
  const request = context.switchToHttp().getRequest<object>();
  calls.set(request, (calls.get(request) ?? new Map<unknown, IdempotentCall>()).set(context.getHandler(), call));
}
