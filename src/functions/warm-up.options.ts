import type { Duration } from '../core/clock/duration.js';

/** When a warm-up runs. */
export interface WarmUpSchedule {
  /** So long after a run has ended the next one begins, in one process of the fleet. Default: there is no next one. */
  every?: Duration;
  /**
   * Also when the application has started, unless a process of the same version has done it within `every` (without it: the last
   * 10 minutes, so that a fleet that starts runs it once). Default `true`. `false`: the first run is `every` after the last one of any
   * process of the same version, or after the first of them has started.
   */
  atBoot?: boolean;
  /** How long after a run that failed the next attempt is made. Default: `every`; without it 1 minute. */
  retryAfter?: Duration;
  /** How long a run may take; then its signal is aborted and it has failed. Default: any time. */
  timeout?: Duration;
  /** How long a process that died keeps the others from taking over; renewed while it is alive. Default 5 s. */
  lease?: Duration;
}

/** What `CacheWarmer.register()` takes. */
export interface WarmUpOptions extends WarmUpSchedule {
  /** The same in all processes, and one of a kind in the application. */
  name: string;
  run: (warm: WarmUpRun) => unknown;
}

/** What a run is given. */
export interface WarmUpRun {
  /** Aborted at shutdown, and when the run has taken longer than `timeout`. */
  readonly signal: AbortSignal;
  /**
   * Says how far it has come.
   * @throws the signal's reason once it is aborted, so that a loop that reports its progress ends by itself
   */
  progress(done: number, total?: number): void;
}

/** What this process knows of a warm-up. */
export interface WarmUpStatus {
  readonly name: string;
  /**
   * `idle`: not looked at yet. `waiting`: another process may be at it, or the store does not answer; this one takes over if need be.
   * `off`: the cache keeps nothing, so there is nothing to warm.
   */
  readonly state: 'idle' | 'waiting' | 'running' | 'done' | 'failed' | 'off';
  /** Whether the run that `state` is about is, or was, this process's own; progress is known of these only. */
  readonly isOwn: boolean;
  readonly done: number;
  readonly total: number | undefined;
  /** Of the last run that ended. */
  readonly tookMs: number | undefined;
  /** What an own run failed with. */
  readonly error: unknown;
}
