import type { Fence } from '../tokens/epoch.js';

/** Who answered a read. `loader`: nobody had the value, and it was loaded. */
export type Tier = 'request' | 'memory' | 'remote' | 'loader';

/** Hands out a value to one reader: the shared frozen one, or a copy of the reader's own. */
export interface ValueSource {
  readonly perReader: boolean;
  take(): unknown;
  /** To be called before it is kept for longer than a request: lets go of memory that is not its own. */
  keep?(): this;
}

/** A value with its life. All times on this process's monotonic clock. */
export interface Found {
  readonly value: ValueSource;
  readonly tier: Tier;
  readonly createdAt: number;
  readonly freshUntil: number;
  readonly expiresAt: number;
  readonly fence: Fence;
  /** Its refresh has failed: `freshUntil` says when it may be tried again. */
  readonly isHeldOver: boolean;
  /** From under a former stamp: only stale, no longer than its grace lasts, and not to be confirmed. */
  readonly isGraced: boolean;
  /** Estimate of the memory it takes. */
  readonly bytes: number;
}
