import type { CacheKey } from '../core/cache.options.js';
import { CacheUsageError } from '../core/errors/cache.error.js';
import { Lease } from './lease.js';
import type { LeaseKeeper } from './lease-keeper.js';
import { decodeLeaseToken } from './lease-token.js';
import { LockAcquisition } from './lock-acquisition.js';
import { LockContext } from './lock-context.js';
import type { LockCounters, LockEngine } from './lock-engine.js';
import { LockLostError, ResourceLockedError } from './lock.errors.js';
import { addressesOf, type LockAddress, type LockTarget } from './lock-key.js';
import { planLock, type LockOptions, type LockPlan } from './lock.options.js';

/** How a lock stands, for operators. */
export interface LockInspection {
  /** The holder's attempt (`lease.owner`); `undefined`: free, but waited for. */
  readonly owner: string | undefined;
  readonly fencingToken: bigint | undefined;
  readonly remainingMs: number;
  readonly waiting: number;
}

/** Opens, for `fn`, what reads inside a lock are remembered in: nothing that was learned before. */
export type LockScope = <T>(fn: () => T) => T;

/**
 * Locks across processes: at most one valid lease of a key at a time, in order of arrival. Keys carry no version stamp and are outside
 * every `clear()`. If the store cannot be asked nobody gets a lock.
 *
 * A lease is no proof against a pause that outlasts it: what must not happen twice is to be refused by the database, by
 * {@link Lease.fencingToken}. Lock before you open a transaction, and release after its commit.
 * @example const policy = await locks.run(['policy', id], { lease: '30s', wait: '2s' }, (lease) => redeem(id, lease));
 */
export class CacheLockService {
  private readonly context = new LockContext();
  private defaultPlan: LockPlan | undefined;

  /** Made by the module; inject it instead of calling this. */
  constructor(
    private readonly engine: LockEngine,
    private readonly defaults: LockOptions = {},
    private readonly scope: LockScope = (fn) => fn(),
  ) {}

  /**
   * Runs `fn` while it holds the lock. Cache reads inside it skip what the request and memory tiers learned before. What `fn` returns or
   * throws is what the caller gets, also if the lock was lost or could not be released (but see `onLost`).
   * @throws ResourceLockedError @throws LockStoreUnavailableError then `fn` has not run
   * @throws CacheUsageError `invalid_lock_key`, `invalid_option`, `partly_held`, `evicting_lock_store`, `lossy_lock_store`
   */
  run<T>(target: LockTarget, fn: (lease: Lease) => T | Promise<T>): Promise<T>;
  run<T>(target: LockTarget, options: LockOptions, fn: (lease: Lease) => T | Promise<T>): Promise<T>;
  async run<T>(
    target: LockTarget,
    second: LockOptions | ((lease: Lease) => T | Promise<T>),
    third?: (lease: Lease) => T | Promise<T>,
  ): Promise<T> {
    const [options, fn] = typeof second === 'function' ? [undefined, second] : [second, third];
    if (typeof fn !== 'function') throw new CacheUsageError('invalid_option', 'run() needs a function to run');
    const plan = this.planOf(options);
    const addresses = addressesOf(target);
    const outer = plan.reentrant ? this.around(addresses) : undefined;
    if (outer) return this.within(outer, () => fn(outer));
    const lease = this.leaseOf(await new LockAcquisition(this.engine, addresses, plan).run(), plan);
    let result: T;
    try {
      result = await this.within(lease, () => fn(lease));
    } catch (error) {
      await lease.release();
      throw error;
    }
    const { loss } = lease;
    await (plan.mode === 'once' ? lease.keep() : lease.release());
    if (loss && plan.onLost === 'fail') throw loss;
    return result;
  }

  /** The lock, to be released by the caller: `await using lease = await locks.acquire(key)`. @throws as {@link run} */
  async acquire(target: LockTarget, options?: LockOptions): Promise<Lease> {
    const plan = this.planOf(options);
    return this.leaseOf(await new LockAcquisition(this.engine, addressesOf(target), plan).run(), plan);
  }

  /** As {@link acquire}, but `undefined` if somebody else holds it. @throws LockStoreUnavailableError */
  async tryAcquire(target: LockTarget, options?: LockOptions): Promise<Lease | undefined> {
    try {
      return await this.acquire(target, options);
    } catch (error) {
      if (error instanceof ResourceLockedError) return undefined;
      throw error;
    }
  }

  /**
   * Goes on with a lease that another process has {@link Lease.detach detached}. Restore a token once: the store knows the owner, not who
   * acts for it, so that whoever restores it again (a message that is delivered twice) holds the lock, too, under the same fence.
   * @throws LockLostError if it has run out
   * @throws LockStoreUnavailableError
   * @throws CacheUsageError `invalid_lease_token`
   */
  async restore(token: string, options: Pick<LockOptions, 'onLost'> = {}): Promise<Lease> {
    const { owner, leaseMs, maxHoldMs, holds } = decodeLeaseToken(token);
    const plan = { ...planLock(options, this.defaults), leaseMs, maxHoldMs };
    await this.engine.ready();
    const sentAt = this.engine.clock.now();
    const renewed = await Promise.all(
      holds.map(({ store }) => this.engine.access.run('renew', (to) => to.renew(store, owner, leaseMs))),
    );
    if (renewed.includes(false))
      throw new LockLostError(
        holds.map(({ encoded }) => encoded),
        'taken',
      );
    const keeper = this.engine.newKeeper(owner, leaseMs);
    for (const { encoded, store, fence } of holds) keeper.add({ encoded, store }, fence, sentAt);
    const now = this.engine.clock.now();
    keeper.limit(now + maxHoldMs);
    // The answer may have taken longer than the lease.
    keeper.assertHeld();
    this.engine.adopt(keeper, now);
    return this.leaseOf(keeper, plan);
  }

  /** Runs `fn` as if {@link run} had: for those who acquire and release elsewhere, such as interceptors. */
  within<T>(lease: Lease, fn: () => T): T {
    return this.context.run(lease, () => this.scope(fn));
  }

  /** The innermost lease around the running code, of any key or of this one. */
  current(key?: CacheKey): Lease | undefined {
    const [address] = key === undefined ? [] : addressesOf(key);
    for (const lease of this.context.leases()) if (!address || lease.keys.includes(address.encoded)) return lease;
    return undefined;
  }

  /** `undefined`: nobody holds it, nobody waits for it. @throws LockStoreUnavailableError */
  async inspect(key: CacheKey): Promise<LockInspection | undefined> {
    const [address] = addressesOf(key) as [LockAddress];
    await this.engine.ready();
    const state = await this.engine.access.run('inspect', (store) => store.inspect(address.store));
    return (
      state && {
        owner: state.owner,
        fencingToken: state.fence,
        remainingMs: state.remainingMs,
        waiting: state.waiting,
      }
    );
  }

  /**
   * Takes the lock from whoever holds it, who learns of it at its next renewal, and gives it to the next. For operators. `false` if nobody
   * held it. @throws LockStoreUnavailableError
   */
  async forceRelease(key: CacheKey): Promise<boolean> {
    const [address] = addressesOf(key) as [LockAddress];
    await this.engine.ready();
    return this.engine.access.run('forceRelease', (store) => store.forceRelease(address.store));
  }

  /** Counters since the start, and how many leases this process holds and waits for. */
  stats(): LockCounters & { readonly held: number; readonly waiting: number } {
    const { counters, held, waiters } = this.engine;
    return { ...counters, lost: { ...counters.lost }, held, waiting: waiters.size };
  }

  private planOf(options: LockOptions | undefined): LockPlan {
    return options ? planLock(options, this.defaults) : (this.defaultPlan ??= planLock({}, this.defaults));
  }

  private leaseOf(keeper: LeaseKeeper, plan: LockPlan): Lease {
    const { onLost } = plan;
    const lease = new Lease(keeper, this.engine, plan.maxHoldMs);
    if (typeof onLost === 'function') {
      const tell = (): void => {
        // Out of an event listener whatever it throws, now or later, would end the process.
        try {
          const told: unknown = onLost(lease.signal.reason as LockLostError, lease);
          if (told instanceof Promise) told.catch(() => undefined);
        } catch {
          // Its own to report.
        }
      };
      lease.signal.addEventListener('abort', tell, { once: true });
    }
    return lease;
  }

  /** A lease around the running code that holds all of these. */
  private around(addresses: readonly LockAddress[]): Lease | undefined {
    const isHeldBy = (lease: Lease): ((address: LockAddress) => boolean) => {
      const held = new Set(lease.keys);
      return ({ encoded }) => held.has(encoded);
    };
    for (const lease of this.context.leases()) {
      if (addresses.every(isHeldBy(lease))) return lease;
      if (!addresses.some(isHeldBy(lease))) continue;
      throw new CacheUsageError(
        'partly_held',
        'a run() around this one holds some of these keys, and would be waited for: lock all of them in the outer one, by allOf()',
      );
    }
    return undefined;
  }
}
