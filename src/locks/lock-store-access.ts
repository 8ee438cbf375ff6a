import { afterDeadline, type Clock } from '../core/clock/clock.js';
import { StoreUnavailableError } from '../core/errors/cache.error.js';
import { RequestNotSentError, type LockStore } from './contract/lock-store.js';
import { LockStoreUnavailableError } from './lock.errors.js';

/** The only way to the lock store: every operation has a deadline, and every error that leaves is a LockStoreUnavailableError. */
export class LockStoreAccess {
  private closed = false;

  constructor(
    readonly store: LockStore,
    private readonly clock: Clock,
    readonly deadlineMs: number,
  ) {}

  /** @throws LockStoreUnavailableError */
  run<T>(operation: string, call: (store: LockStore) => Promise<T>, ms = this.deadlineMs): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.closed) throw new LockStoreUnavailableError(this.store.name, operation, 'closed', undefined, false);
      const cancel = afterDeadline(this.clock, ms, () => reject(this.unavailable(operation, 'timeout')));
      call(this.store).then(
        (result) => {
          cancel();
          resolve(result);
        },
        (error: unknown) => {
          cancel();
          reject(this.wrap(operation, error));
        },
      );
    });
  }

  close(): void {
    this.closed = true;
  }

  unavailable(operation: string, reason: LockStoreUnavailableError['reason']): LockStoreUnavailableError {
    return new LockStoreUnavailableError(this.store.name, operation, reason);
  }

  private wrap(operation: string, error: unknown): LockStoreUnavailableError {
    if (error instanceof LockStoreUnavailableError) return error;
    if (!(error instanceof StoreUnavailableError)) return this.unavailable(operation, 'connection');
    const wasSent = !(error instanceof RequestNotSentError);
    return new LockStoreUnavailableError(this.store.name, operation, error.reason, error.message, wasSent);
  }
}
