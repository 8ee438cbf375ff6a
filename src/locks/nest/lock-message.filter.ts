import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { throwError } from 'rxjs';
import { sendEvent } from '../../gateway-client.js';
import type { LockRefusal, LockRefusedException } from './lock-refused.exception.js';

/** What is sent where there is no status and no header: to microservices, and to WebSocket clients as the event `exception`. */
export interface LockMessage {
  readonly status: 'error';
  readonly code: LockRefusal;
  readonly message: string;
  readonly retryAfterMs?: number;
}

/** A refusal on its way to who sent a message. Of its own class, so that filters of HTTP exceptions keep what is theirs. */
export class LockRefusedMessage extends Error {
  constructor(readonly refusal: LockRefusedException) {
    super(refusal.message, { cause: refusal });
  }
}

/** Tells the sender of a message, as Nest's own filters do for RpcException and WsException, which are not to be had here. */
@Catch(LockRefusedMessage)
export class LockMessageFilter implements ExceptionFilter<LockRefusedMessage> {
  catch({ refusal }: LockRefusedMessage, host: ArgumentsHost): unknown {
    const { code, message, retryAfterMs } = refusal;
    const told: LockMessage = { status: 'error', code, message, ...(retryAfterMs !== undefined && { retryAfterMs }) };
    // A broker sees a failure, and delivers an event again.
    if (host.getType<string>() !== 'ws') return throwError(() => told);
    sendEvent(host.switchToWs().getClient<object>(), 'exception', told);
    return undefined;
  }
}
