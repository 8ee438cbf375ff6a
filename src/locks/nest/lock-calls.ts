import type { ExecutionContext } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import type { CacheLockService } from '../cache-lock.service.js';
import type { Lease } from '../lease.js';
import { type LockLostError, LockStoreUnavailableError, ResourceLockedError } from '../lock.errors.js';
import type { CacheLockPlan } from './cache-lock.options.js';
import { IdempotencyException } from './idempotency.exception.js';
import { LockRefusedMessage } from './lock-message.filter.js';
import { LockRefusedException } from './lock-refused.exception.js';
import { lockTargetOf } from './lock-route-key.js';

/** What is thrown in place of a refusal; the refusal itself: as it is. */
export type MapLockException = (refusal: LockRefusedException, context: ExecutionContext) => unknown;

/** What is told to come back when nobody knows when. */
const UNAVAILABLE_MS = 1000;

/** Takes the locks of calls, and answers for what goes wrong with them. */
export class LockCalls {
  constructor(
    readonly locks: CacheLockService,
    private readonly host: HttpAdapterHost | undefined,
    private readonly mapException: MapLockException = (refusal) => refusal,
  ) {}

  /** @throws what {@link refuse} makes of the error */
  async take(
    context: ExecutionContext,
    plan: CacheLockPlan,
    signal?: AbortSignal,
    map: (refusal: LockRefusedException) => unknown = (refusal) => refusal,
  ): Promise<Lease> {
    const { key, status, lease, maxHold, wait, maxQueue, mode } = plan;
    try {
      const target = lockTargetOf(key, context);
      return await this.locks.acquire(target, known({ lease, maxHold, wait, maxQueue, mode, signal }));
    } catch (error) {
      if (signal?.aborted) throw this.refuse(context, new LockRefusedException('client_closed', 503, undefined, error));
      const refusal = refusalOf(error, status);
      throw this.refuse(context, refusal instanceof LockRefusedException ? map(refusal) : refusal);
    }
  }

  /** What the handler's caller is to be thrown. */
  lost(context: ExecutionContext, loss: LockLostError | undefined): unknown {
    return this.refuse(context, new LockRefusedException('lock_lost', 503, undefined, loss));
  }

  refuse(context: ExecutionContext, refusal: unknown): unknown {
    const kind = context.getType<string>();
    if (kind === 'http' && refusal instanceof IdempotencyException) this.setHeaders(context, refusal);
    if (!(refusal instanceof LockRefusedException)) return refusal;
    if (kind === 'http') this.setHeaders(context, refusal);
    const mapped = this.mapException(refusal, context);
    return mapped === refusal && (kind === 'rpc' || kind === 'ws') ? new LockRefusedMessage(refusal) : mapped;
  }

  /** Here, since an HttpException has no headers, and whatever filter answers leaves them. */
  private setHeaders(
    context: ExecutionContext,
    { retryAfterSeconds }: { retryAfterSeconds: number | undefined },
  ): void {
    const response: unknown = context.switchToHttp().getResponse();
    const adapter = this.host?.httpAdapter;
    if (!adapter || adapter.isHeadersSent(response)) return;
    if (retryAfterSeconds !== undefined) adapter.setHeader(response, 'Retry-After', String(retryAfterSeconds));
    adapter.setHeader(response, 'Cache-Control', 'no-store');
  }
}

function refusalOf(error: unknown, held: number): unknown {
  if (error instanceof ResourceLockedError)
    return new LockRefusedException(error.code as 'resource_locked', held, error.retryAfterMs, error);
  if (error instanceof LockStoreUnavailableError)
    return new LockRefusedException(error.code as 'lock_store_unavailable', 503, UNAVAILABLE_MS, error);
  const isMalformed = error instanceof CacheUsageError && ['invalid_lock_key', 'invalid_key'].includes(error.code);
  return isMalformed ? new LockRefusedException('invalid_lock_key', 400, undefined, error) : error;
}

function known<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}
