import type { Duration, Lifetime } from '../core/clock/duration.js';
import { durationMs, lifetimeMs } from '../core/clock/duration.js';
import { CacheUsageError } from '../core/errors/cache.error.js';
import type { Lease } from './lease.js';
import type { LockLostError } from './lock.errors.js';

/** How one lock is taken and kept. What is left out is the module's `locks`, then the default. */
export interface LockOptions {
  /** How long a dead holder blocks others: the lock is renewed at each third of it while its holder lives. At least 100 ms. Default 10 s. */
  lease?: Duration;
  /** How long the lock is renewed at most; then its `signal` is aborted. Default 60 s. */
  maxHold?: Lifetime;
  /** How long to wait for somebody else's lock, in order of arrival (but on Memcached: at random). Keep it below the gateway's timeout. Default 0: not at all. */
  wait?: Duration;
  /** Waiters at a lock; one more is refused at once. Not on Memcached, where nobody counts them. Default 100. */
  maxQueue?: number;
  /** Whether a `run` inside a `run` that holds the same keys goes in without asking. Default `false`: it is refused like anybody. */
  reentrant?: boolean;
  /**
   * What `run` does about a lock that was lost while its function ran to a good end. `report` (default): the result stands. `fail`: it is
   * replaced by the LockLostError. A function is told at the moment of the loss; the result stands.
   */
  onLost?: 'report' | 'fail' | ((loss: LockLostError, lease: Lease) => void);
  /**
   * `once`: after its function has succeeded, `run` keeps the lock to the end of its `lease`, counted from its beginning, so that nobody
   * does the same work again (a job of many hosts, a double click). A failure frees it. Default `mutex`.
   */
  mode?: 'mutex' | 'once';
  /** Ends the waiting: `acquire` rejects with its reason. Has no effect on a lock that is held. */
  signal?: AbortSignal;
}

/** In numbers. */
export interface LockPlan {
  readonly leaseMs: number;
  readonly maxHoldMs: number;
  readonly waitMs: number;
  readonly maxQueue: number;
  readonly reentrant: boolean;
  readonly onLost: NonNullable<LockOptions['onLost']>;
  readonly mode: 'mutex' | 'once';
  readonly signal: AbortSignal | undefined;
}

/** A shorter lease is lost to any pause of the garbage collector. */
const MIN_LEASE_MS = 100;

/** @throws CacheUsageError `invalid_duration`, `invalid_option` */
export function planLock(options: LockOptions, defaults: LockOptions = {}): LockPlan {
  const given = <Name extends keyof LockOptions>(name: Name): LockOptions[Name] => options[name] ?? defaults[name];
  const leaseMs = durationMs(given('lease') ?? '10s', 'lease');
  if (leaseMs < MIN_LEASE_MS) throw invalid(`lease must be at least ${MIN_LEASE_MS} ms`);
  const maxQueue = given('maxQueue') ?? 100;
  const onLost = given('onLost') ?? 'report';
  const mode = given('mode') ?? 'mutex';
  if (!Number.isSafeInteger(maxQueue) || maxQueue < 0) throw invalid('maxQueue must be a whole number of at least 0');
  if (!['mutex', 'once'].includes(mode)) throw invalid("mode must be 'mutex' or 'once'");
  if (typeof onLost !== 'function' && !['report', 'fail'].includes(onLost))
    throw invalid("onLost must be 'report', 'fail' or a function");
  return {
    leaseMs,
    maxHoldMs: lifetimeMs(given('maxHold') ?? '60s', 'maxHold'),
    waitMs: durationMs(given('wait') ?? 0, 'wait'),
    maxQueue,
    reentrant: given('reentrant') ?? false,
    onLost,
    mode,
    signal: given('signal'),
  };
}

function invalid(mend: string): CacheUsageError {
  return new CacheUsageError('invalid_option', mend);
}
