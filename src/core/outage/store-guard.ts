import { afterDeadline, type Clock } from '../clock/clock.js';
import { StoreUnavailableError } from '../errors/cache.error.js';
import type { CacheStore } from '../../stores/contract/cache-store.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { GatedStore } from './gated.store.js';
import { InvalidationQueue, type QueueEnds } from './invalidation-queue.js';

/** How long one call of the cache may still wait for the store, over all its steps. */
export interface WaitBudget {
  remainingMs: number;
}

/** Deadlines are rounded up to this, so that timers of equal length share one list in Node. */
const TIMER_STEP_MS = 10;
/**
 * What a step that was answered leaves to the next one, however long it took: perhaps it was this process that had no processor. A call has some
 * five steps.
 */
const LEAST_LEFT_MS = 10;

/** Who is told how the store is doing. Must not throw. */
export interface StoreNews {
  /** It does not answer, and is left alone until it does. */
  down?(reason: StoreUnavailableError['reason']): void;
  back?(): void;
  /** It has answered that it will not: each time. */
  refused?(operation: string): void;
}

/**
 * The only way to the store: every operation has a deadline, failures open a breaker, and every error that leaves is a
 * StoreUnavailableError (a driver's own error may hold a password or a cached value).
 */
export class StoreGuard {
  readonly breaker: CircuitBreaker;
  /** Invalidations that the store has not acknowledged. */
  readonly queue: InvalidationQueue;
  private readonly gated: CacheStore;
  private lastFailure: StoreUnavailableError['reason'] = 'connection';
  private closed = false;

  constructor(
    private readonly store: CacheStore,
    private readonly clock: Clock,
    private readonly deadlineMs: number,
    recovered: () => void,
    landed: Omit<QueueEnds, 'send'>,
    private readonly told: StoreNews = {},
  ) {
    this.queue = new InvalidationQueue(clock, {
      ...landed,
      send: (operation, call) => this.attempt(operation, this.budget(), () => call(store)),
    });
    this.gated = new GatedStore(store, this.queue);
    this.breaker = new CircuitBreaker(
      clock,
      () => this.withDeadline('now', deadlineMs, this.store.now()),
      () => {
        recovered();
        void this.queue.flush();
        told.back?.();
      },
      () => {
        if (!this.closed) told.down?.(this.lastFailure);
      },
    );
  }

  budget(): WaitBudget {
    return { remainingMs: this.deadlineMs };
  }

  /**
   * Runs one operation within the budget, after the invalidations that wait.
   * @param late given what the store answers when nobody waits for it any more
   * @throws StoreUnavailableError
   */
  run<T>(
    operation: string,
    budget: WaitBudget,
    call: (store: CacheStore) => Promise<T>,
    late?: (result: T) => void,
  ): Promise<T> {
    return this.attempt(operation, budget, () => call(this.queue.isEmpty ? this.store : this.gated), late);
  }

  /** Gives a lease up, also past a breaker that is open: who waits for the lease would wait for nothing. If that fails, it ends by itself. Never rejects. */
  async release(key: string, token: string): Promise<void> {
    if (this.closed) return;
    try {
      await this.withDeadline('release', this.deadlineMs, this.store.release(key, token));
    } catch {
      // Whatever it was: the breaker is told by those who are to be answered.
    }
  }

  close(): void {
    this.closed = true;
    this.breaker.stop();
    this.queue.stop();
  }

  private async attempt<T>(
    operation: string,
    budget: WaitBudget,
    call: () => Promise<T>,
    late?: (result: T) => void,
  ): Promise<T> {
    if (this.closed) throw this.unavailable(operation, 'closed');
    if (this.breaker.isOpen) throw this.unavailable(operation, 'open');
    if (budget.remainingMs <= 0) throw this.unavailable(operation, 'timeout');
    const started = this.clock.now();
    let leastMs = 0;
    try {
      const result = await this.withDeadline(operation, budget.remainingMs, call(), late);
      this.breaker.succeeded();
      leastMs = Math.min(LEAST_LEFT_MS, budget.remainingMs);
      return result;
    } catch (error) {
      const failure = this.wrap(operation, error);
      // A server that answers with a refusal (OOM, READONLY, LOADING) is quick: the breaker is for one that does not answer.
      if (failure.reason === 'refused') this.told.refused?.(operation);
      else {
        this.lastFailure = failure.reason;
        this.breaker.failed();
      }
      throw failure;
    } finally {
      budget.remainingMs = Math.max(leastMs, budget.remainingMs - (this.clock.now() - started));
    }
  }

  private withDeadline<T>(operation: string, ms: number, pending: Promise<T>, late?: (result: T) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let isOver = false;
      const cancel = afterDeadline(this.clock, Math.ceil(ms / TIMER_STEP_MS) * TIMER_STEP_MS, () => {
        isOver = true;
        reject(this.unavailable(operation, 'timeout'));
      });
      pending.then(
        (result) => {
          if (isOver) return late?.(result);
          cancel();
          resolve(result);
        },
        (error: unknown) => {
          cancel();
          reject(error as Error);
        },
      );
    });
  }

  private wrap(operation: string, error: unknown): StoreUnavailableError {
    return error instanceof StoreUnavailableError ? error : this.unavailable(operation, 'connection');
  }

  private unavailable(operation: string, reason: StoreUnavailableError['reason']): StoreUnavailableError {
    return new StoreUnavailableError(this.store.name, operation, reason);
  }
}
