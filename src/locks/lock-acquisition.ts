import { CLAIM_MS, type LockAnswer } from './contract/lock-store.js';
import { marginOf, type LeaseKeeper } from './lease-keeper.js';
import type { LockEngine } from './lock-engine.js';
import { LockStoreUnavailableError, ResourceLockedError } from './lock.errors.js';
import type { LockAddress } from './lock-key.js';
import { LockPolling } from './lock-polling.js';
import type { LockPlan } from './lock.options.js';
import type { LockWaiter } from './lock-waiters.js';

const FIRST_RETRY_MS = 20;
const LONGEST_RETRY_MS = 200;

/** Takes the locks one by one in their order, which is the same for everybody, or none of them. */
export class LockAcquisition {
  private readonly owner: string;
  private readonly giveUpAt: number;
  private joined: LockWaiter | undefined;

  constructor(
    private readonly engine: LockEngine,
    private readonly addresses: readonly LockAddress[],
    private readonly plan: LockPlan,
  ) {
    this.owner = engine.newOwner();
    this.giveUpAt = plan.waitMs > 0 ? engine.clock.now() + plan.waitMs : -Infinity;
    // Before the store is asked: a hand-over may be told before its answer is read.
    if (plan.waitMs > 0) this.joined = engine.waiters.join(this.owner);
  }

  private get waiter(): LockWaiter {
    return (this.joined ??= this.engine.waiters.join(this.owner));
  }

  /** @throws ResourceLockedError @throws LockStoreUnavailableError @throws the reason of `signal` */
  async run(): Promise<LeaseKeeper> {
    const { engine, plan } = this;
    const keeper = engine.newKeeper(this.owner, plan.leaseMs);
    const { signal } = plan;
    const wake = signal && ((): void => this.waiter.notify());
    if (wake) signal.addEventListener('abort', wake, { once: true });
    try {
      for (const address of this.addresses) await this.take(address, keeper);
      // One that was taken early may have been lost while the others were waited for.
      const now = engine.clock.now();
      if (!keeper.isHeldAt(now)) throw this.refusal(this.addresses[0] as LockAddress, 0, 0);
      keeper.limit(now + plan.maxHoldMs);
      engine.adopt(keeper, now);
      engine.counters.acquired++;
      return keeper;
    } catch (error) {
      if (error instanceof ResourceLockedError) engine.counters.refused++;
      else if (error instanceof LockStoreUnavailableError) engine.counters.unavailable++;
      if (keeper.holds.length > 0) await engine.release(keeper);
      throw error;
    } finally {
      if (wake) signal.removeEventListener('abort', wake);
      this.joined?.leave();
    }
  }

  private async take(address: LockAddress, keeper: LeaseKeeper): Promise<void> {
    const { clock } = this.engine;
    let isUncertain = false;
    let isQueued = false;
    let failingSince: number | undefined;
    let retryMs = FIRST_RETRY_MS;
    const hasQueue = this.engine.access.store.capabilities.queue;
    const polling = new LockPolling(hasQueue);
    let refused: { readonly fence: bigint | undefined; readonly sentAt: number } | undefined;
    try {
      for (;;) {
        this.plan.signal?.throwIfAborted();
        if (refused && this.takeHanded(address, keeper, refused)) return;
        const sentAt = clock.now();
        const waitMs = Math.max(0, this.giveUpAt - sentAt);
        let answer: LockAnswer;
        try {
          answer = await this.ask(address, waitMs);
          failingSince = undefined;
          retryMs = FIRST_RETRY_MS;
        } catch (error) {
          isUncertain ||= error instanceof LockStoreUnavailableError && error.wasSent;
          failingSince ??= sentAt;
          const patience = failingSince + this.engine.access.deadlineMs - clock.now();
          if (patience <= retryMs || !isWorthRetrying(error)) throw error;
          await this.waiter.sleep(retryMs);
          retryMs = Math.min(2 * retryMs, LONGEST_RETRY_MS);
          continue;
        }
        if (answer.outcome === 'granted') {
          const now = clock.now();
          if (now >= sentAt + this.plan.leaseMs - marginOf(this.plan.leaseMs)) {
            isUncertain = true;
            throw this.engine.access.unavailable('acquire', 'timeout');
          }
          keeper.add(address, answer.fence, sentAt, now);
          return;
        }
        isQueued ||= hasQueue && answer.outcome === 'held' && waitMs > 0;
        refused = { fence: answer.outcome === 'held' ? answer.fence : undefined, sentAt };
        const leftMs = this.giveUpAt - clock.now();
        if (answer.outcome === 'full' || waitMs <= 0 || leftMs <= 0)
          throw this.refusal(address, answer.remainingMs, answer.waiting);
        this.engine.assertMayWait();
        await this.waiter.sleep(Math.min(leftMs, polling.next(answer.remainingMs)));
      }
    } catch (error) {
      const { withdrawals } = this.engine;
      if (isUncertain) withdrawals.begin(address.store, this.owner, this.plan.leaseMs);
      else if (isQueued) await withdrawals.once(address.store, this.owner, this.plan.leaseMs);
      throw error;
    }
  }

  /**
   * The message of a hand-over is enough to begin if it was made after `refused` was answered: its time runs from then at the earliest,
   * however late the message is read. It is confirmed meanwhile.
   */
  private takeHanded(
    address: LockAddress,
    keeper: LeaseKeeper,
    refused: { readonly fence: bigint | undefined; readonly sentAt: number },
  ): boolean {
    const fence = refused.fence === undefined ? undefined : this.waiter.handed(address.store, refused.fence);
    if (fence === undefined || this.engine.clock.now() > refused.sentAt + CLAIM_MS / 2) return false;
    keeper.addHanded(address, fence, refused.sentAt);
    return true;
  }

  private ask(address: LockAddress, waitMs: number): Promise<LockAnswer> {
    if (!this.engine.isChecked) return this.engine.ready().then(() => this.send(address, waitMs));
    return this.send(address, waitMs);
  }

  private send(address: LockAddress, waitMs: number): Promise<LockAnswer> {
    const { leaseMs, maxQueue } = this.plan;
    const request = { owner: this.owner, leaseMs, waitMs, maxQueue };
    // An answer must leave most of the lease to be of use.
    const patience = Math.min(this.engine.access.deadlineMs, leaseMs / 2);
    return this.engine.access.run('acquire', (store) => store.acquire(address.store, request), patience);
  }

  private refusal(address: LockAddress, remainingMs: number, waiting: number): ResourceLockedError {
    const retryAfterMs = this.engine.holdTimes.retryAfterMs(address.encoded, remainingMs, waiting);
    return new ResourceLockedError([address.encoded], retryAfterMs, waiting);
  }
}

/** A server that refuses is out of memory, read-only, or short of replicas; one that is restarting may be back in time. */
function isWorthRetrying(error: unknown): boolean {
  return error instanceof LockStoreUnavailableError && !['refused', 'closed'].includes(error.reason);
}
