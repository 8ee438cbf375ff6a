import { StoreUnavailableError } from '../../core/errors/cache.error.js';
import type {
  LockAnswer,
  LockRequest,
  LockState,
  LockStore,
  LockStoreCapabilities,
  LockStoreListener,
  LockStoreRole,
  ReleaseOutcome,
} from '../../locks/contract/lock-store.js';
import { add, NOOP, read, remove, replace } from './memcached.commands.js';
import { MemcachedConnection } from './memcached.connection.js';
import { leftMs, secondsOf } from './memcached.lease-time.js';
import type { MemcachedLink } from './memcached.link.js';
import { openLink } from './memcached.opening.js';
import { memcachedTarget, type MemcachedStoreOptions } from './memcached.options.js';

/** Somebody else changes the lock between every look at it and the step that follows: after so many times it is given up. */
const MOST_LOOKS = 8;

/** A lock as the server has it. */
interface Seen {
  readonly owner: string;
  readonly version: string;
  readonly remainingMs: number;
}

/**
 * Locks in Memcached (tested with 1.6.18), by meta commands: an item is a lock, its value the owner. It is added, and then changed or
 * removed by its version (CAS) only. Memcached may drop it at any time, so that such locks save work and guard nothing. See
 * {@link MemcachedStoreOptions}.
 *
 * It counts whole seconds: a lock that is not released is free between its lease and 3 s after (2 s where the lease is of whole seconds).
 */
export class MemcachedLockStore implements LockStore {
  readonly name = 'memcached';
  readonly capabilities: LockStoreCapabilities = { fencing: false, queue: false, lossy: true, shared: true };
  private readonly connection: MemcachedConnection;
  private readonly prefix: string;
  private listener: LockStoreListener | undefined;

  /** @throws CacheUsageError `invalid_memcached_options`, `invalid_url` */
  constructor(options: MemcachedStoreOptions = {}) {
    this.prefix = options.prefix ?? 'tc';
    const target = memcachedTarget(options);
    this.connection = new MemcachedConnection(
      (signal) => openLink(target, signal),
      () => this.listener?.connected(),
    );
  }

  open(listener: LockStoreListener): void {
    this.listener = listener;
    // Who needs it asks again.
    this.connection.link('open').catch(() => {});
  }

  /**
   * One step adds, and none after it does: who has given up waiting for the answer takes back what that step did, and it may be carried out
   * as late as that, but nothing that comes later.
   */
  async acquire(key: string, { owner, leaseMs }: LockRequest): Promise<LockAnswer> {
    const seconds = secondsOf('acquire', leaseMs);
    const name = this.nameOf(key);
    const link = await this.connection.link('acquire');
    if ((await link.ask('acquire', add(name, owner, seconds))).status === 'HD') return GRANTED;
    for (let looks = 0; looks < MOST_LOOKS; looks++) {
      const seen = await look(link, 'acquire', name);
      // It was held a moment ago.
      if (seen?.owner !== owner) return { outcome: 'held', remainingMs: seen?.remainingMs ?? leftMs(), waiting: 0 };
      const { status } = await link.ask('acquire', replace(name, owner, seconds, seen.version));
      if (status === 'HD') return GRANTED;
    }
    throw contended('acquire');
  }

  async renew(key: string, owner: string, leaseMs: number): Promise<boolean> {
    const seconds = secondsOf('renew', leaseMs);
    const outcome = await this.change('renew', key, owner, (name, version) => replace(name, owner, seconds, version));
    return outcome === 'changed';
  }

  async release(key: string, owner: string): Promise<ReleaseOutcome> {
    const outcome = await this.change('release', key, owner, remove);
    return outcome === 'changed' ? 'released' : outcome;
  }

  async inspect(key: string): Promise<LockState | undefined> {
    const seen = await look(await this.connection.link('inspect'), 'inspect', this.nameOf(key));
    return seen && { owner: seen.owner, fence: NO_FENCE, remainingMs: seen.remainingMs, waiting: 0 };
  }

  async forceRelease(key: string): Promise<boolean> {
    const link = await this.connection.link('forceRelease');
    return (await link.ask('forceRelease', remove(this.nameOf(key)))).status === 'HD';
  }

  async role(): Promise<LockStoreRole> {
    const link = await this.connection.link('role');
    await link.ask('role', NOOP);
    return { evicts: 'Memcached drops what was not used lately when its memory is full' };
  }

  async close(): Promise<void> {
    this.connection.close();
  }

  /** Apart from what a cache would keep under the same prefix. */
  private nameOf(key: string): string {
    return `${this.prefix}:lk:${key}`;
  }

  /** One step for a lock that `owner` holds, whose version says that nobody came between. */
  private async change(
    operation: string,
    key: string,
    owner: string,
    step: (name: string, version: string) => ReturnType<typeof remove>,
  ): Promise<'changed' | 'gone' | 'not-owner'> {
    const name = this.nameOf(key);
    const link = await this.connection.link(operation);
    for (let looks = 0; looks < MOST_LOOKS; looks++) {
      const seen = await look(link, operation, name);
      if (!seen) return 'gone';
      if (seen.owner !== owner) return 'not-owner';
      const { status } = await link.ask(operation, step(name, seen.version));
      if (status === 'HD') return 'changed';
      if (status === 'NF') return 'gone';
    }
    throw contended(operation);
  }
}

/** What fencing refuses. */
const NO_FENCE = 0n;
const GRANTED: LockAnswer = { outcome: 'granted', fence: NO_FENCE };

async function look(link: MemcachedLink, operation: string, name: string): Promise<Seen | undefined> {
  const reply = await link.ask(operation, read(name));
  if (!reply.data) return undefined;
  const version = reply.flag('c');
  if (version === undefined || !/^\d+$/.test(version))
    throw new StoreUnavailableError('memcached', operation, 'refused', 'an item without a version');
  return { owner: String(reply.data), version, remainingMs: leftMs(reply.flag('t')) };
}

function contended(operation: string): StoreUnavailableError {
  return new StoreUnavailableError('memcached', operation, 'refused', 'the lock changed all the time');
}
