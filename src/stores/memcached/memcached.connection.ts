import { RequestNotSentError } from '../../locks/contract/lock-store.js';
import type { MemcachedLink, MemcachedOutage } from './memcached.link.js';
import { MemcachedOpeningError } from './memcached.opening.js';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 500;

/** The connection to a server: made when it is needed, and again when it was lost, with a pause after each attempt that failed. */
export class MemcachedConnection {
  private current: MemcachedLink | undefined;
  private opening: Promise<MemcachedLink> | undefined;
  private lastFailure: MemcachedOutage = { reason: 'connection' };
  private pauseMs = FIRST_PAUSE_MS;
  private restsUntil = -Infinity;
  private readonly ending = new AbortController();

  constructor(
    /** A function, so that no password is in what somebody prints. Rejects with MemcachedOpeningError. */
    private readonly attempt: (signal: AbortSignal) => Promise<MemcachedLink>,
    private readonly onConnected: () => void,
  ) {}

  /**
   * A link that is open. Steps that belong together must share one: after a restart the server counts its versions from the beginning,
   * so that a version read over one link means nothing on the next.
   * @throws RequestNotSentError
   */
  async link(operation: string): Promise<MemcachedLink> {
    if (this.ending.signal.aborted) throw notSent(operation, { reason: 'closed' });
    if (this.current && !this.current.outage) return this.current;
    if (!this.opening && performance.now() < this.restsUntil) throw notSent(operation, this.lastFailure);
    try {
      return await (this.opening ??= this.open().finally(() => (this.opening = undefined)));
    } catch (error) {
      throw error instanceof MemcachedOpeningError ? notSent(operation, error.outage) : error;
    }
  }

  /** Idempotent. What is under way is rejected. */
  close(): void {
    this.ending.abort();
    this.current?.end({ reason: 'closed' });
  }

  private async open(): Promise<MemcachedLink> {
    try {
      const link = await this.attempt(this.ending.signal);
      if (this.ending.signal.aborted) link.end({ reason: 'closed' });
      this.current = link;
      this.pauseMs = FIRST_PAUSE_MS;
      this.onConnected();
      return link;
    } catch (error) {
      this.lastFailure = error instanceof MemcachedOpeningError ? error.outage : { reason: 'connection' };
      this.restsUntil = performance.now() + this.pauseMs;
      this.pauseMs = Math.min(2 * this.pauseMs, LONGEST_PAUSE_MS);
      throw error;
    }
  }
}

function notSent(operation: string, { reason, detail }: MemcachedOutage): RequestNotSentError {
  return new RequestNotSentError('memcached', operation, reason, detail);
}
