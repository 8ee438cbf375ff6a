import type { Clock } from '../clock/clock.js';
import type { StoreGuard } from '../outage/store-guard.js';

/** Keeps a lease alive while its loader runs: renewed at a third of its length, so that two renewals may fail. */
export class LeaseHold {
  private cancel: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly guard: StoreGuard,
    private readonly key: string,
    private readonly token: string,
    private readonly leaseMs: number,
  ) {
    this.schedule();
  }

  stopRenewing(): void {
    this.cancel?.();
    this.cancel = undefined;
  }

  private schedule(): void {
    this.cancel = this.clock.after(this.leaseMs / 3, () => {
      this.guard
        .run('renew', this.guard.budget(), (store) => store.renew(this.key, this.token, this.leaseMs))
        // A lost lease is not taken again: the fill will be refused, which is right.
        .then(
          (isHeld) => isHeld,
          () => true,
        )
        .then((mayContinue) => {
          if (mayContinue && this.cancel) this.schedule();
        });
    });
  }
}
