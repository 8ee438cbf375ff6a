import { CLAIM_MS } from './contract/lock-store.js';

/**
 * The back-stop of hand-overs: how often somebody who waits asks on its own account. Sooner than a claim ends: who was not told that the lock is his
 * would be passed over.
 */
const POLL_MS = 0.7 * CLAIM_MS;
const POLL_JITTER_MS = 50;
/** Where nobody is told of a release: at random within it at first, then within more and more, up to {@link POLL_MS}. */
const FIRST_POLL_MS = 50;
const POLL_GROWTH = 1.5;

/** When somebody who waits for a lock asks again by itself. */
export class LockPolling {
  private longestMs = FIRST_POLL_MS;

  /** @param isTold whether the store tells who waits of a release */
  constructor(private readonly isTold: boolean) {}

  /** How long to sleep now, where the holder's lease ends in `remainingMs`. */
  next(remainingMs: number): number {
    if (this.isTold) return Math.min(POLL_MS, remainingMs + 1) + Math.random() * POLL_JITTER_MS;
    const pollMs = Math.random() * this.longestMs;
    this.longestMs = Math.min(POLL_GROWTH * this.longestMs, POLL_MS);
    return pollMs;
  }
}
