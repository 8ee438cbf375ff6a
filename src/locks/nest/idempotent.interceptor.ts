import {
  Inject,
  Injectable,
  Logger,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { of, throwError, type Observable } from 'rxjs';
import {
  answer,
  baselineOf,
  isCaptured,
  ownHeaders,
  patchAdapter,
  rawResponseOf,
  tapResponse,
  watchHandler,
  type HeaderFields,
  type TapOutcome,
} from '../../http/wire/index.js';
import { IdempotencyRecords } from '../idempotency-records.js';
import { idempotentCall, type IdempotentCall } from './idempotent-call.js';
import { idempotentPlanOfCall } from './idempotent.options.js';
import { encodeRecord, type IdempotentRecord } from './idempotent-record.js';
import { LockCalls } from './lock-calls.js';
import { isWithin, type RunEnd } from './locked-call.js';
import { runLocked } from './run-locked.js';

type FirstCall = Exclude<IdempotentCall, { replay: IdempotentRecord }>;

/** Answers that say "later", and are none. */
const LATER = new Set([408, 425, 429]);
/** Of one answer, or a secret between one client and the server. */
const NOT_KEPT = new Set(['date', 'set-cookie', 'age']);

/** Replays the answer of a request that was carried out before; keeps that of one that is carried out now. */
@Injectable()
export class IdempotentInterceptor implements NestInterceptor {
  private readonly logger = new Logger('Idempotent');

  constructor(
    @Inject(LockCalls) private readonly calls: LockCalls,
    @Inject(IdempotencyRecords) private readonly records: IdempotencyRecords,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const plan = idempotentPlanOfCall(context);
    if (!plan) return next.handle();
    const call = idempotentCall(context);
    if (call?.replay) return of(this.replay(context, call.replay));
    // Without a key, and without need of one.
    if (!call) return plan.required ? throwError(() => this.calls.lost(context, undefined)) : next.handle();
    return isWithin(call.locked, context) ? next.handle() : this.run(call, context, next);
  }

  private run(call: FirstCall, context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const response = context.switchToHttp().getResponse<object>();
    const baseline = baselineOf(response);
    patchAdapter(this.host.httpAdapter);
    const tap = tapResponse(rawResponseOf(response), { maxBytes: call.plan.maxBytes, baseline });
    call.locked.conclude = async (end) => {
      // What was not written by now never will be.
      tap.fail('aborted');
      await this.keep(call, await tap.finished, baseline, end);
    };
    const watched: CallHandler = { handle: () => next.handle().pipe(watchHandler(tap)) };
    return runLocked(this.calls, call.locked, {}, context, watched);
  }

  private replay(context: ExecutionContext, { status, headers, body }: IdempotentRecord): unknown {
    const told = { ...headers, 'idempotent-replayed': 'true' };
    return answer(this.host.httpAdapter, context, { status, headers: told, ...(body && { body }) });
  }

  /** The request is answered already: nothing that fails here is told to its client. */
  private async keep(
    call: FirstCall,
    outcome: TapOutcome,
    baseline: HeaderFields,
    end: RunEnd | undefined,
  ): Promise<void> {
    const record = recordOf(call.fingerprint, outcome, baseline, end);
    if (!record) return;
    try {
      const isKept = await this.records.keep(call.key, call.locked.lease, encodeRecord(record), call.plan.ttlMs);
      if (!isKept)
        this.logger.warn('an answer was not kept, since its lock was lost: a repeated request will run again');
    } catch (error) {
      this.logger.warn(`an answer was not kept: a repeated request will run again (${(error as Error).message})`);
    }
  }
}

/** `undefined`: as if it had not been. A handler that is done, and whose answer is not to be had, must not run again. */
function recordOf(
  fingerprint: string,
  outcome: TapOutcome,
  baseline: HeaderFields,
  end: RunEnd | undefined,
): IdempotentRecord | undefined {
  const { status } = outcome;
  if (isCaptured(outcome) && outcome.status < 500 && !LATER.has(outcome.status)) {
    const own = Object.entries(ownHeaders(outcome, baseline)).filter(([name]) => !NOT_KEPT.has(name));
    return { fingerprint, status: outcome.status, headers: Object.fromEntries(own), body: outcome.body };
  }
  const isFailed = end !== 'done' || (status !== undefined && status >= 500);
  return isFailed ? undefined : { fingerprint, status: status ?? 0, headers: {} };
}
