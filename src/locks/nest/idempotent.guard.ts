import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { CacheKey, KeyPart } from '../../core/cache.options.js';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { handlerIdentity } from '../../http/policy/handler-identity.js';
import { IdempotencyRecords } from '../idempotency-records.js';
import { LockStoreUnavailableError } from '../lock.errors.js';
import { lockHttpCall } from './lock-http-call.js';
import { idempotentCall, setIdempotentCall } from './idempotent-call.js';
import { idempotentPlanOfCall, type IdempotentPlan } from './idempotent.options.js';
import {
  decodeRecord,
  fingerprintOf,
  principalOf,
  type FingerprintedRequest,
  type IdempotentRecord,
} from './idempotent-record.js';
import { IdempotencyException } from './idempotency.exception.js';
import { parseIdempotencyKey } from './idempotency-key.js';
import { LockCalls } from './lock-calls.js';
import { LockRefusedException } from './lock-refused.exception.js';
import { keyContextOf } from './lock-route-key.js';

/** Finds what a request was answered before, or makes it the only one of its key. */
@Injectable()
export class IdempotentGuard implements CanActivate {
  constructor(
    @Inject(LockCalls) private readonly calls: LockCalls,
    @Inject(IdempotencyRecords) private readonly records: IdempotencyRecords,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const plan = idempotentPlanOfCall(context);
    if (!plan || (context.getType() === 'http' && idempotentCall(context))) return true;
    if (context.getType() !== 'http') throw unsupported(context, 'is for HTTP');
    const field = keyContextOf(context).headers['idempotency-key'];
    if (field === undefined && !plan.required) return true;
    if (field === undefined) throw new IdempotencyException('idempotency_key_missing');
    const key = parseIdempotencyKey(String(field));
    if (key === undefined) throw new IdempotencyException('idempotency_key_invalid');
    await this.begin(context, plan, this.keyOf(context, plan, key));
    return true;
  }

  private async begin(context: ExecutionContext, plan: IdempotentPlan, key: CacheKey): Promise<void> {
    const fingerprint = fingerprintOf(context.switchToHttp().getRequest<FingerprintedRequest>());
    const before = await this.find(context, key);
    if (before) return setIdempotentCall(context, { replay: checked(before, fingerprint) });
    const locked = await lockHttpCall(this.calls, context, { ...plan.lock, key, status: 409 }, (refusal) =>
      refusal.code === 'resource_locked'
        ? new IdempotencyException('idempotency_in_flight', refusal.retryAfterMs)
        : refusal,
    );
    try {
      // Its holder may have been done between the look and the lock.
      const meanwhile = await this.find(context, key);
      const call = meanwhile ? { replay: checked(meanwhile, fingerprint) } : { locked, key, fingerprint, plan };
      if (meanwhile) await locked.abandon();
      setIdempotentCall(context, call);
    } catch (error) {
      await locked.abandon();
      throw error;
    }
  }

  private async find(context: ExecutionContext, key: CacheKey): Promise<IdempotentRecord | undefined> {
    try {
      const text = await this.records.read(key);
      return text === undefined ? undefined : decodeRecord(text);
    } catch (error) {
      if (!(error instanceof LockStoreUnavailableError)) throw error;
      throw this.calls.refuse(context, new LockRefusedException('lock_store_unavailable', 503, 1000, error));
    }
  }

  private keyOf(context: ExecutionContext, plan: IdempotentPlan, key: string): CacheKey {
    const call = keyContextOf(context);
    const user = call.user as KeyPart;
    const { id, sub } = (typeof user === 'object' ? (user ?? {}) : { id: user }) as { id?: KeyPart; sub?: KeyPart };
    const principal = plan.scope ? plan.scope(call) : (id ?? sub);
    if (principal === undefined || principal === null || principal === '')
      throw unsupported(context, 'knows no user: put it above the guard that recognises the caller, or set scope');
    const { key: route } = handlerIdentity(context.getClass(), context.getHandler() as (...args: never[]) => unknown);
    return ['idempotency', route, principalOf(principal), key];
  }
}

function checked(record: IdempotentRecord, fingerprint: string): IdempotentRecord {
  if (record.fingerprint !== fingerprint) throw new IdempotencyException('idempotency_key_reused');
  if (record.body === undefined) throw new IdempotencyException('idempotency_answer_lost');
  return record;
}

function unsupported(context: ExecutionContext, why: string): CacheUsageError {
  return new CacheUsageError(
    'unsupported_idempotency',
    `${context.getClass().name}.${context.getHandler().name}: @Idempotent ${why}`,
  );
}
