import { CacheUsageError } from '../core/errors/cache.error.js';
import type { LockRecords } from './contract/lock-store.js';
import type { Lease } from './lease.js';
import type { LockEngine } from './lock-engine.js';
import { addressesOf, type LockAddress } from './lock-key.js';
import type { CacheKey } from '../core/cache.options.js';

/** What requests were answered, beside the locks that say they are under way. */
export class IdempotencyRecords {
  constructor(private readonly engine: LockEngine) {}

  /** @throws CacheUsageError `unsupported_lock_store` if the store keeps no records */
  check(): void {
    void this.records;
  }

  /** @throws LockStoreUnavailableError */
  async read(key: CacheKey): Promise<string | undefined> {
    const { records } = this;
    await this.engine.ready();
    return this.engine.access.run('read', () => records.read(storeKeyOf(key)));
  }

  /** `false`: the lease was lost, and nothing was written. @throws LockStoreUnavailableError */
  keep(key: CacheKey, lease: Lease, record: string, ttlMs: number): Promise<boolean> {
    const { records } = this;
    return this.engine.access.run('keep', () => records.keep(storeKeyOf(key), lease.owner, record, ttlMs));
  }

  private get records(): LockRecords {
    const { store } = this.engine.access;
    if (store.records) return store.records;
    throw new CacheUsageError(
      'unsupported_lock_store',
      `@Idempotent needs a lock store that keeps records, which ${store.name} does not: set locks.store`,
    );
  }
}

function storeKeyOf(key: CacheKey): string {
  return (addressesOf(key)[0] as LockAddress).store;
}
