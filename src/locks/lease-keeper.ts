import type { Clock } from '../core/clock/clock.js';
import { CLAIM_MS } from './contract/lock-store.js';
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
/** Timers of equal length share a list in Node. */
const TIMER_STEP_MS = 16;
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
  private abort: AbortController | undefined;
  loss: LockLostError | undefined;
  private ended = false;
  /** A hand-over is yet to be confirmed: in the store it ends sooner than the lease. */
  private isClaim = false;
  private maxHoldEnd = Infinity;
  private extendedUntil = 0;
  private retryMs = FIRST_RETRY_MS;
  private renewing: Promise<unknown> | undefined;
  private renewAt = Infinity;
  private alarmAt = Infinity;
  private cancelAlarm: (() => void) | undefined;

  constructor(
    readonly owner: string,
    readonly leaseMs: number,
    private readonly clock: Clock,
    private readonly access: LockStoreAccess,
    private readonly onLoss: (loss: LockLostError) => void,
  ) {}

  get isHeld(): boolean {
    return this.isHeldAt(this.clock.now());
  }

  isHeldAt(now: number): boolean {
    this.check(now);
    return !this.ended && this.loss === undefined;
  }

  /** Until the lease must be taken for lost. */
  get remainingMs(): number {
    return this.isHeld ? this.deadline - this.clock.now() : 0;
  }

  /** Made when it is asked for: it costs more than the rest of a lease. */
  get signal(): AbortSignal {
    this.abort ??= new AbortController();
    if (this.loss && !this.abort.signal.aborted) this.abort.abort(this.loss);
    return this.abort.signal;
  }

  /** As encoded. */
  get keys(): string[] {
    return this.holds.map((hold) => hold.address.encoded);
  }

  private get deadline(): number {
    let deadline = this.maxHoldEnd;
    for (const hold of this.holds) if (hold.deadline < deadline) deadline = hold.deadline;
    return deadline;
  }

  /** Takes charge of a lock that was granted to a request sent at `sentAt`. */
  add(address: LockAddress, fence: bigint, sentAt: number, now = this.clock.now()): void {
    this.holds.push({ address, fence, deadline: sentAt + this.leaseMs - marginOf(this.leaseMs) });
    if (this.holds.length === 1) this.renewAt = sentAt + this.renewalMs();
    this.setAlarm(now);
  }

  /** Takes charge of a lock that was handed over at `since` or later, and confirms it, unless it is given up in this very turn. */
  addHanded(address: LockAddress, fence: bigint, since: number): void {
    const ms = Math.min(CLAIM_MS, this.leaseMs);
    this.holds.push({ address, fence, deadline: since + ms - marginOf(ms) });
    this.isClaim = true;
    this.setAlarm();
    // Who has waited goes first.
    setImmediate(() => this.ended || this.loss || void this.renewAndGoOn());
  }

  /** No renewal beyond that moment. */
  limit(end: number): void {
    this.maxHoldEnd = end;
    this.setAlarm();
  }

  /** Ends the lease if it must be over: timers are late after the event loop was blocked. */
  check(now = this.clock.now()): void {
    if (now >= this.maxHoldEnd) this.lose('maxHold');
    else if (now >= this.deadline) this.lose('expired');
  }

  /** Renews at once. @throws LockLostError @throws LockStoreUnavailableError */
  async extend(ms: number): Promise<void> {
    this.assertHeld();
    const now = this.clock.now();
    const until = now + ms;
    const failure = await this.renew(until);
    if (failure === undefined) {
      this.extendedUntil = Math.max(this.extendedUntil, until);
      this.maxHoldEnd = Math.max(this.maxHoldEnd, until);
      this.setAlarm();
    }
    this.assertHeld();
    if (failure !== undefined) throw failure as Error;
  }

  assertHeld(): void {
    this.check();
    if (this.loss) throw this.loss;
    if (this.ended) throw new LockLostError(this.keys, 'taken');
  }

  /** As {@link stop}, for who leaves the locks to another process: they last their lease. */
  leave(): void {
    void this.stop();
    if (this.isClaim && !this.loss) void this.renew();
  }

  /** No renewal, no loss from here on. Resolves when no request is under way; `undefined` if none is. */
  stop(): Promise<unknown> | undefined {
    this.ended = true;
    this.cancelAlarm?.();
    return this.renewing;
  }

  lose(reason: LossReason): void {
    if (this.ended || this.loss) return;
    this.cancelAlarm?.();
    this.loss = new LockLostError(this.keys, reason);
    this.abort?.abort(this.loss);
    this.onLoss(this.loss);
  }

  /** Resolves to why it is not known whether all are renewed, if it is not. Never rejects. */
  private async renew(extendedUntil = 0): Promise<unknown> {
    this.isClaim = false;
    const sentAt = this.clock.now();
    const ms = Math.max(this.leaseMs, this.extendedUntil - sentAt, extendedUntil - sentAt);
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
    if (this.renewing === outcomes) this.renewing = undefined;
    this.setAlarm();
    return failed?.reason;
  }

  private async renewAndGoOn(): Promise<void> {
    this.renewAt = Infinity;
    const failure = await this.renew();
    this.retryMs = failure === undefined ? FIRST_RETRY_MS : Math.min(2 * this.retryMs, this.leaseMs / 3);
    this.renewAt = this.clock.now() + (failure === undefined ? this.renewalMs() : this.retryMs);
    this.setAlarm();
  }

  private renewalMs(): number {
    const ms = (this.leaseMs / 3) * (1 - JITTER + 2 * JITTER * Math.random());
    return ms < 10 * TIMER_STEP_MS ? ms : Math.floor(ms / TIMER_STEP_MS) * TIMER_STEP_MS;
  }

  /** One timer for both the next renewal and the end. */
  private setAlarm(now?: number): void {
    if (this.ended || this.loss) return;
    const at = Math.min(this.renewAt, this.deadline);
    if (at === this.alarmAt) return;
    this.cancelAlarm?.();
    this.alarmAt = at;
    const ms = Math.min(MAX_TIMER_MS, Math.max(0, at - (now ?? this.clock.now())));
    // After a blocked event loop a confirmation may just not have been read yet: let it in first.
    this.cancelAlarm = this.clock.after(ms, () => setImmediate(() => this.ring()));
  }

  private ring(): void {
    this.alarmAt = Infinity;
    this.check();
    if (this.ended || this.loss) return;
    if (this.clock.now() >= this.renewAt) void this.renewAndGoOn();
    this.setAlarm();
  }
}
