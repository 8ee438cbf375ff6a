import type { Found } from '../tiers/found.js';

/** One computation that all concurrent callers of a key in this process share. */
export interface Flight {
  promise: Promise<Found>;
  /** The key was invalidated since it took off: it still answers its own callers, but takes no new ones and stores nothing here. */
  detached: boolean;
}
