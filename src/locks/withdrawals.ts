import type { Clock } from '../core/clock/clock.js';
import type { ReleaseOutcome } from './contract/lock-store.js';
import type { LockStoreAccess } from './lock-store-access.js';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;
/** A command of a connection that was cut is carried out within milliseconds of the server's waking up; the second release is after it. */
const SETTLED_MS = 250;

/**
 * Gives up what may or may not have been granted (an acquire without an answer, a release without one), so that no orphan blocks the key
 * for its whole lease. The first attempt is sent at once, and so after the acquire on the same connection.
 */
export class Withdrawals {
  private readonly underway = new Set<Promise<unknown>>();
  private stopped = false;

  constructor(
    private readonly clock: Clock,
    private readonly access: LockStoreAccess,
  ) {}

  get size(): number {
    return this.underway.size;
  }

  /** Goes on in the background until the store has acknowledged it, or the lease must have run out. Never rejects. */
  begin(key: string, owner: string, leaseMs: number): void {
    const ending = this.withdraw(key, owner, this.clock.now() + leaseMs).finally(() => this.underway.delete(ending));
    this.underway.add(ending);
  }

  /** As {@link begin}, for what the store has answered before: resolves with the first outcome. */
  once(key: string, owner: string, leaseMs: number): Promise<ReleaseOutcome | 'unknown'> {
    return this.access
      .run<ReleaseOutcome | 'unknown'>('release', (store) => store.release(key, owner))
      .catch(() => {
        this.begin(key, owner, leaseMs);
        return 'unknown';
      });
  }

  async drain(): Promise<void> {
    await Promise.all(this.underway);
  }

  stop(): void {
    this.stopped = true;
  }

  private async withdraw(key: string, owner: string, until: number): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    while (!this.stopped) {
      if (await this.attempt(key, owner)) break;
      if (this.clock.now() >= until) return;
      await this.sleep(pause);
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    }
    if (this.stopped) return;
    await this.sleep(SETTLED_MS);
    await this.attempt(key, owner);
  }

  private async attempt(key: string, owner: string): Promise<boolean> {
    try {
      await this.access.run('release', (store) => store.release(key, owner));
      return true;
    } catch {
      return false;
    }
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.after(ms, resolve));
  }
}
