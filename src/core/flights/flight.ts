import type { Found } from '../tiers/found.js';

/** One computation that all concurrent callers of a key in this process share. */
export interface Flight {
  promise: Promise<Found>;
  /** The key was invalidated since it took off: it still answers its own callers, but takes no new ones and stores nothing here. */
  detached: boolean;
}

/**
 * Takes the place of a landed flight's promise. V8 keeps the tables that a Map has outgrown alive for long, with all they held; in a
 * Map as restless as that of the flights this would be thousands of values.
 */
export const LANDED = new Promise<never>(() => undefined);
