import type { Clock } from '../../core/clock/clock.js';
import type { PurgeSink } from './purge-sink.js';

/** Tags beyond these are not remembered: a sink that is down must not fill the memory. */
const MAX_PENDING = 10_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;

/** In milliseconds. */
export interface PurgeSettings {
  readonly attempts: number;
  readonly timeoutMs: number;
  /** `undefined`: once is enough. */
  readonly repeatAfterMs: number | undefined;
}

/** Of one sink, since the start: `PurgeService.stats()`. */
export interface PurgeCounters {
  /** Tags that the sink has taken, repetitions included. */
  readonly purged: number;
  /** Attempts that failed. */
  readonly failures: number;
  /** Tags given up: after the last attempt, or because too many were waiting. */
  readonly lost: number;
  /** Tags that wait, or are on their way. */
  readonly pending: number;
}

/** Who is told what goes wrong. No tag is told: they may name people. */
export interface PurgeReport {
  failed(sink: string, count: number, attempt: number, error: unknown): void;
  lost(sink: string, count: number, why: string): void;
}

/**
 * Sends tags to one sink: one purge at a time, of all that came together meanwhile; at least once each unless it is reported as lost. Who
 * adds a tag never waits and never hears of an error.
 */
export class PurgeQueue {
  /** Whether each has been purged once already. */
  private readonly waiting = new Map<string, boolean>();
  private readonly repeats = new Map<() => void, readonly string[]>();
  private readonly ending = new AbortController();
  private running: Promise<void> | undefined;
  private wake: () => void = () => undefined;
  private isHurried = false;
  private purged = 0;
  private failures = 0;
  private lost = 0;
  private underway = 0;

  constructor(
    private readonly sink: PurgeSink,
    private readonly clock: Clock,
    private readonly settings: PurgeSettings,
    private readonly report: PurgeReport,
  ) {}

  add(tags: Iterable<string>): void {
    this.enqueue(tags, false);
  }

  /** Resolves when nothing waits. What is to be repeated is, at once; what fails now is tried no more. */
  async drain(): Promise<void> {
    this.isHurried = true;
    for (const [cancel, tags] of this.repeats) {
      cancel();
      this.enqueue(tags, true);
    }
    this.repeats.clear();
    this.wake();
    await this.running;
    this.isHurried = false;
  }

  /** Ends it; {@link drain} it first. */
  close(): void {
    for (const cancel of this.repeats.keys()) cancel();
    this.repeats.clear();
    this.ending.abort(new Error('the application ends'));
    this.wake();
  }

  get counters(): PurgeCounters {
    const { purged, failures, lost, waiting, underway } = this;
    return { purged, failures, lost, pending: waiting.size + underway };
  }

  private enqueue(tags: Iterable<string>, isRepeat: boolean): void {
    let overflow = 0;
    for (const tag of tags) {
      const before = this.waiting.get(tag);
      if (before === undefined && this.waiting.size >= MAX_PENDING) overflow++;
      else this.waiting.set(tag, isRepeat && before !== false);
    }
    if (overflow > 0) this.lose(overflow, 'too many are waiting');
    // Not at once: what is invalidated in one turn travels together.
    this.running ??= Promise.resolve().then(() => this.run());
  }

  private async run(): Promise<void> {
    while (this.waiting.size > 0) {
      const batch = [...this.waiting];
      this.waiting.clear();
      this.underway = batch.length;
      const isPurged = await this.send(batch.map(([tag]) => tag));
      this.underway = 0;
      if (isPurged) this.repeatLater(batch.filter(([, isRepeat]) => !isRepeat).map(([tag]) => tag));
    }
    // In the turn that found nothing: what is added from now on starts another run.
    this.running = undefined;
  }

  private async send(tags: readonly string[]): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      const isLast = attempt >= this.settings.attempts || this.isHurried;
      try {
        await this.attempt(tags);
        this.purged += tags.length;
        return true;
      } catch (error) {
        this.failures++;
        this.report.failed(this.sink.name, tags.length, attempt, error);
      }
      if (isLast || this.ending.signal.aborted) {
        this.lose(tags.length, `attempt ${attempt} was the last`);
        return false;
      }
      await this.pause(attempt);
    }
  }

  /** Sinks are other people's code: one that ignores its signal is left behind. */
  private attempt(tags: readonly string[]): Promise<void> {
    this.ending.signal.throwIfAborted();
    const controller = new AbortController();
    const { timeoutMs } = this.settings;
    return new Promise<void>((resolve, reject) => {
      const settle = (): void => {
        cancel();
        this.ending.signal.removeEventListener('abort', end);
      };
      const stop = (reason: Error): void => {
        settle();
        controller.abort(reason);
        reject(reason);
      };
      const end = (): void => stop(this.ending.signal.reason as Error);
      const cancel = this.clock.after(timeoutMs, () => stop(new Error(`no answer within ${timeoutMs} ms`)));
      this.ending.signal.addEventListener('abort', end, { once: true });
      Promise.resolve()
        .then(() => this.sink.purge(tags, controller.signal))
        .finally(settle)
        .then(resolve, reject);
    });
  }

  private pause(attempt: number): Promise<void> {
    const ms = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1)) * (0.75 + Math.random() / 4);
    return new Promise((resolve) => {
      const cancel = this.clock.after(this.isHurried ? 0 : ms, resolve);
      this.wake = () => {
        cancel();
        resolve();
      };
    });
  }

  /** A response that was made before the invalidation may reach the cache in front after the purge. */
  private repeatLater(tags: readonly string[]): void {
    const { repeatAfterMs } = this.settings;
    if (repeatAfterMs === undefined || tags.length === 0 || this.isHurried || this.ending.signal.aborted) return;
    const cancel = this.clock.after(repeatAfterMs, () => {
      this.repeats.delete(cancel);
      this.enqueue(tags, true);
    });
    this.repeats.set(cancel, tags);
  }

  private lose(count: number, why: string): void {
    this.lost += count;
    this.report.lost(this.sink.name, count, why);
  }
}
