import type { Clock } from '../core/clock/clock.js';
import { LockLostError, type LossReason } from './lock.errors.js';
import type { LockAddress } from './lock-key.js';
import type { LockStoreAccess } from './lock-store-access.js';

/** One lock of a lease. */
export interface Hold {
  readonly address: LockAddress;
  readonly fence: bigint;
  /** On this process's monotonic clock; counted from when the last confirmed request was *sent*. */
  deadline: number;
}

const FIRST_RETRY_MS = 50;
const JITTER = 0.1;
/** A timer of Node takes 31 bits; a longer one would run at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** How long before its end in the store a lease is over for its holder, who must have time to stop. */
export function marginOf(leaseMs: number): number {
  return Math.min(leaseMs / 10, 500);
}

/**
 * Renews the locks of one owner at each third of their lease, and knows, without asking anybody, when they must be taken for lost: a
 * timer of its own ends the lease when nothing was confirmed in time, however long a request may hang.
 */
export class LeaseKeeper {
  readonly holds: Hold[] = [];
  readonly abort = new AbortController();
  loss: LockLostError | undefined;
  private ended = false;
  private maxHoldEnd = Infinity;
  private extendedUntil = 0;
  private retryMs = FIRST_RETRY_MS;
  private renewing: Promise<unknown> | undefined;
  private cancelRenewal = (): void => undefined;
  private cancelDeadline = (): void => undefined;

  constructor(
    readonly owner: string,
    readonly leaseMs: number,
    private readonly clock: Clock,
    private readonly access: LockStoreAccess,
    private readonly onLoss: (loss: LockLostError) => void,
  ) {}

  get isHeld(): boolean {
    this.check();
    return !this.ended && this.loss === undefined;
  }

  /** Until the lease must be taken for lost. */
  get remainingMs(): number {
    return this.isHeld ? this.deadline - this.clock.now() : 0;
  }

  private get deadline(): number {
    return Math.min(this.maxHoldEnd, ...this.holds.map((hold) => hold.deadline));
  }

  /** Takes charge of a lock that was granted to a request sent at `sentAt`. */
  add(address: LockAddress, fence: bigint, sentAt: number): void {
    this.holds.push({ address, fence, deadline: sentAt + this.leaseMs - marginOf(this.leaseMs) });
    this.watch();
    if (this.holds.length === 1) this.scheduleRenewal(this.renewalMs());
  }

  /** No renewal beyond that. */
  limit(maxHoldMs: number): void {
    this.maxHoldEnd = this.clock.now() + maxHoldMs;
    this.watch();
  }

  /** Ends the lease if it must be over: timers are late after the event loop was blocked. */
  check(): void {
    const now = this.clock.now();
    if (now >= this.maxHoldEnd) this.lose('max-hold');
    else if (now >= this.deadline) this.lose('expired');
  }

  /** Renews at once. @throws LockLostError @throws LockStoreUnavailableError */
  async extend(ms: number): Promise<void> {
    this.assertHeld();
    const now = this.clock.now();
    this.extendedUntil = Math.max(this.extendedUntil, now + ms);
    this.maxHoldEnd = Math.max(this.maxHoldEnd, now + ms);
    const failure = await this.renew();
    this.assertHeld();
    if (failure !== undefined) throw failure as Error;
  }

  assertHeld(): void {
    this.check();
    if (this.loss) throw this.loss;
    if (this.ended) throw new LockLostError(this.keys, 'taken');
  }

  /** No renewal, no loss from here on. Resolves when no request is under way. */
  async stop(): Promise<void> {
    this.ended = true;
    this.cancelTimers();
    await this.renewing;
  }

  lose(reason: LossReason): void {
    if (this.ended || this.loss) return;
    this.cancelTimers();
    this.loss = new LockLostError(this.keys, reason);
    this.abort.abort(this.loss);
    this.onLoss(this.loss);
  }

  private get keys(): string[] {
    return this.holds.map((hold) => hold.address.encoded);
  }

  /** Resolves to why it is not known whether all are renewed, if it is not. Never rejects. */
  private async renew(): Promise<unknown> {
    const sentAt = this.clock.now();
    const ms = Math.max(this.leaseMs, this.extendedUntil - sentAt);
    const patience = Math.min(this.access.deadlineMs, this.leaseMs / 3);
    const outcomes = Promise.allSettled(
      this.holds.map(async (hold) => {
        const { store } = hold.address;
        const isRenewed = await this.access.run('renew', (to) => to.renew(store, this.owner, ms), patience);
        if (isRenewed) hold.deadline = sentAt + ms - marginOf(ms);
        else this.lose('taken');
      }),
    );
    this.renewing = outcomes;
    const failed = (await outcomes).find((outcome) => outcome.status === 'rejected');
    if (!this.ended && !this.loss) this.watch();
    return failed?.reason;
  }

  private scheduleRenewal(ms: number): void {
    this.cancelRenewal = this.clock.after(ms, () => void this.renewAndGoOn());
  }

  private async renewAndGoOn(): Promise<void> {
    this.check();
    if (this.ended || this.loss) return;
    const failure = await this.renew();
    if (this.ended || this.loss) return;
    this.retryMs = failure === undefined ? FIRST_RETRY_MS : Math.min(2 * this.retryMs, this.leaseMs / 3);
    this.scheduleRenewal(failure === undefined ? this.renewalMs() : this.retryMs);
  }

  private renewalMs(): number {
    return Math.min(MAX_TIMER_MS, (this.leaseMs / 3) * (1 - JITTER + 2 * JITTER * Math.random()));
  }

  private watch(): void {
    this.cancelDeadline();
    const { deadline } = this;
    if (deadline === Infinity) return;
    const ms = Math.min(MAX_TIMER_MS, Math.max(0, deadline - this.clock.now()));
    // After a blocked event loop the confirmation may just not have been read yet: let it in first.
    this.cancelDeadline = this.clock.after(ms, () =>
      setImmediate(() => {
        this.check();
        if (!this.ended && !this.loss) this.watch();
      }),
    );
  }

  private cancelTimers(): void {
    this.cancelRenewal();
    this.cancelDeadline();
  }
}
