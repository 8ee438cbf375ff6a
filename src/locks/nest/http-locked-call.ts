import type { ServerResponse } from 'node:http';
import type { Lease } from '../lease.js';
import { LockedCall, type RunEnd } from './locked-call.js';

/**
 * After a client has left, Nest still answers: how long the answer of work that is over may take (an interceptor outside commits), and how
 * often it is looked for. There is no event for the end of a response without a connection.
 */
const ANSWERS_WITHIN_MS = 5000;
const LOOK_EVERY_MS = 20;

/**
 * Gives its lock up when the work is over, or will never begin, *and* the response was sent or its connection is gone and nobody writes to
 * it any more. Neither alone will do: a promise goes on after its client has left, and a transaction commits after the handler is done.
 */
export class HttpLockedCall extends LockedCall {
  private finished = false;
  private isHeard = true;
  private closed = false;
  private looking: NodeJS.Timeout | undefined;
  private lookUntil = Infinity;

  constructor(
    lease: Lease,
    private readonly response: ServerResponse,
    mode: 'mutex' | 'once' | undefined,
    /** The handler answers by itself, so that nothing of Nest's is waited for. */
    private readonly isAnsweredByHandler: boolean,
  ) {
    super(lease, mode);
    // Nest, the adapter and the request scope listen as well: with two locks it looks like a leak to Node.
    response.setMaxListeners(response.getMaxListeners() + 1);
    response.once('finish', this.onFinish);
    response.once('close', this.onClose);
  }

  /** The handler's value is read while it is sent. */
  isStream = false;

  override async end(end: RunEnd, isHeard: boolean): Promise<void> {
    this.running--;
    this.lastEnd = end;
    this.isHeard = isHeard;
    this.settle();
  }

  private readonly onFinish = (): void => {
    this.finished = true;
    this.settle();
  };

  private readonly onClose = (): void => {
    this.closed = true;
    this.settle();
  };

  private settle(): void {
    if (this.isOver || this.running > 0 || !(this.finished || this.closed)) return;
    if (this.finished || this.lastEnd === undefined || !this.isHeard || this.isStream) this.stop();
    else this.lookForEnd();
  }

  private lookForEnd(): void {
    if (this.looking) return;
    const patience = this.isAnsweredByHandler ? ANSWERS_WITHIN_MS / 5 : ANSWERS_WITHIN_MS;
    this.lookUntil = performance.now() + patience;
    this.looking = setInterval(() => {
      if (this.running > 0) return;
      if (this.response.writableEnded || performance.now() >= this.lookUntil) this.stop();
    }, LOOK_EVERY_MS).unref();
  }

  private stop(): void {
    void this.abandon();
  }

  /** Gives it up at once. Never rejects. */
  async abandon(): Promise<void> {
    clearInterval(this.looking);
    this.response.off('finish', this.onFinish);
    this.response.off('close', this.onClose);
    await this.giveUp();
  }
}

/** Nobody will ever be told that it ends: it has, or its connection is gone. */
export function isOver(response: ServerResponse): boolean {
  const { stream } = response as { stream?: { destroyed?: boolean } };
  return response.destroyed || response.closed || response.writableEnded || stream?.destroyed === true;
}
