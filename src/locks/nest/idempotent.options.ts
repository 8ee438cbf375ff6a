import { SetMetadata, type ExecutionContext, type Type } from '@nestjs/common';
import type { KeyPart } from '../../core/cache.options.js';
import { durationMs, type Duration } from '../../core/clock/duration.js';
import { fields, isAnything, isBoolean, isCount, isFunction } from '../../option-checks.js';
import { planLock, type LockOptions } from '../lock.options.js';
import type { LockKeyContext } from './lock-route-key.js';

/** What `@Idempotent()` takes. */
export interface IdempotentOptions extends Pick<LockOptions, 'lease' | 'maxHold' | 'wait'> {
  /** Whether a request without `Idempotency-Key` is refused, or runs as if there were no decorator. Default `true`. */
  required?: boolean;
  /** How long answers are kept. Default 24 h. */
  ttl?: Duration;
  /**
   * Whose keys they are: what one sends, nobody else is given the answer to. Default: `id` or else `sub` of `request.user`, or the user itself
   * if it is a text or number. A request of nobody is a mistake (500), unless this says whose it is.
   */
  scope?: { of(call: LockKeyContext): KeyPart }['of'];
  /** A longer answer is not kept: repeated requests are told that it was lost, and do not run. Default 256 KiB. */
  maxBytes?: number;
}

export interface IdempotentPlan {
  readonly scope: IdempotentOptions['scope'] | undefined;
  readonly lock: Pick<LockOptions, 'lease' | 'maxHold' | 'wait'>;
  readonly required: boolean;
  readonly ttlMs: number;
  readonly maxBytes: number;
}

export const IDEMPOTENT: unique symbol = Symbol('nestjs-tiered-cache:idempotent');

const check = fields({
  required: isBoolean,
  ttl: isAnything,
  scope: isFunction,
  maxBytes: isCount,
  lease: isAnything,
  maxHold: isAnything,
  wait: isAnything,
});

/** @throws CacheUsageError `unknown_option`, `invalid_option`, `invalid_duration` */
export function markIdempotent(options: IdempotentOptions): ClassDecorator & MethodDecorator {
  check(options, '@Idempotent');
  planLock(options);
  const { required = true, ttl = '24h', maxBytes = 256 * 1024, scope, ...lock } = options;
  const plan: IdempotentPlan = { scope, lock, required, maxBytes, ttlMs: durationMs(ttl, 'ttl') };
  return SetMetadata(IDEMPOTENT, plan) as ClassDecorator & MethodDecorator;
}

/** A handler's decorator wins over its class'. */
export function idempotentPlanOf(controller: Type, handler: object): IdempotentPlan | undefined {
  return (Reflect.getMetadata(IDEMPOTENT, handler) ?? Reflect.getMetadata(IDEMPOTENT, controller)) as
    IdempotentPlan | undefined;
}

export function idempotentPlanOfCall(context: ExecutionContext): IdempotentPlan | undefined {
  return idempotentPlanOf(context.getClass(), context.getHandler());
}
