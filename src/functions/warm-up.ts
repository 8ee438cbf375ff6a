import type { CallOptions, LoadContext } from '../core/cache.options.js';
import type { CacheService } from '../core/cache.service.js';
import type { Clock } from '../core/clock/clock.js';
import { durationMs } from '../core/clock/duration.js';
import { StoreUnavailableError, TieredCacheError } from '../core/errors/cache.error.js';
import type { WarmUpOptions, WarmUpRun, WarmUpStatus } from './warm-up.options.js';

const BOOT_DONE_FOR = '10m';
const BOOT_RETRY_AFTER = '1m';
const LEASE = '5s';
/** How soon to look again at a store that did not answer. */
const STORE_RETRY_MS = 5000;
/** As long as it takes: who waits is who takes over. More does not fit into a timer. */
const WAIT_BUDGET_MS = 2 ** 31 - 1;
/** A timer may be early by a part of a millisecond. */
const LATE_MS = 5;
/** How long the end of the application waits for a run that ignores its signal. */
const STOP_MS = 5000;

/** What is stored of a run, so that nobody repeats it. */
interface RunRecord {
  readonly isDone: boolean;
  readonly tookMs: number;
}

/**
 * One warm-up in one process. A run is a cached computation: the lease elects who runs, its loss lets another process take over, and the
 * record that is stored lives until the next run is due. A failure is recorded in the same way, or every process would repeat it.
 */
export class WarmUp {
  status: WarmUpStatus;
  private readonly isRepeated: boolean;
  private readonly doneForMs: number;
  private readonly retryAfterMs: number;
  private readonly timeoutMs: number | undefined;
  private readonly leaseMs: number;
  private readonly stopping = new AbortController();
  private cancel: (() => void) | undefined;
  private running: Promise<unknown> | undefined;

  /** @throws CacheUsageError `invalid_duration` */
  constructor(
    private readonly options: WarmUpOptions,
    private readonly cache: CacheService,
    private readonly clock: Clock,
    private readonly changed: (status: WarmUpStatus) => void,
  ) {
    const { name, every, retryAfter = every ?? BOOT_RETRY_AFTER, timeout, lease = LEASE } = options;
    const ms = (option: string, value: typeof lease): number => durationMs(value, `warm-up "${name}": ${option}`);
    this.isRepeated = every !== undefined;
    this.doneForMs = ms('every', every ?? BOOT_DONE_FOR);
    this.retryAfterMs = ms('retryAfter', retryAfter);
    this.timeoutMs = timeout === undefined ? undefined : ms('timeout', timeout);
    this.leaseMs = ms('lease', lease);
    const nothing = { done: 0, total: undefined, tookMs: undefined, error: undefined };
    this.status = { name, state: 'idle', isOwn: false, ...nothing };
  }

  start(): void {
    if (this.options.atBoot ?? true) void this.turn();
    else void this.join();
  }

  /** There is nothing to warm. */
  turnOff(): void {
    this.tell({ state: 'off' });
  }

  /** No further runs. Resolves when the one under way has ended. */
  async stop(): Promise<void> {
    this.cancel?.();
    this.stopping.abort(new TieredCacheError('shutdown', 'the application ends'));
    if (this.running === undefined) return;
    await Promise.race([this.running, new Promise<void>((resolve) => this.clock.after(STOP_MS, resolve))]);
  }

  /**
   * Goes on with the schedule that the fleet has, by its last run or else by its first start: a process that starts more often than `every`
   * would put the next run off for ever. Never rejects.
   */
  private async join(): Promise<void> {
    const { cache, stopping, doneForMs } = this;
    const key = [this.options.name];
    const start = [this.options.name, 'start'];
    try {
      // Not by what is near: it does not tell a store that has no record from one that does not answer.
      const [last] = await cache.getManyShared<RunRecord>([key]);
      if (last?.isFound) return this.sleep(this.pauseAfter(last.value) - (last.ageMs ?? 0));
      await cache.getOrSet(start, () => true, { ttl: doneForMs, signal: stopping.signal });
      const { ageMs = 0 } = await cache.get(start);
      this.sleep(doneForMs - ageMs);
    } catch {
      if (stopping.signal.aborted) return;
      this.tell({ state: 'waiting' });
      this.cancel = this.clock.after(STORE_RETRY_MS, () => void this.join());
    }
  }

  /** Runs, or waits for whoever does; then sleeps until the next run is due. Never rejects. */
  private async turn(): Promise<void> {
    const { cache, stopping } = this;
    const key = [this.options.name];
    const call: CallOptions<RunRecord> = {
      ttl: (record) => this.pauseAfter(record),
      lease: this.leaseMs,
      waitBudget: WAIT_BUDGET_MS,
      signal: stopping.signal,
    };
    let sleepMs = STORE_RETRY_MS;
    let hasRun = false;
    this.tell({ state: 'waiting', isOwn: false });
    try {
      const { isDone, tookMs } = await cache.getOrSet(key, (context) => ((hasRun = true), this.run(context)), call);
      if (!hasRun) this.tell({ state: isDone ? 'done' : 'failed', isOwn: false, tookMs, error: undefined });
      if (isDone && !this.isRepeated) return;
      const { ageMs = 0 } = await cache.get(key);
      sleepMs = this.pauseAfter({ isDone }) - ageMs;
    } catch {
      // The store does not answer, or the application ends.
    }
    this.sleep(sleepMs);
  }

  private sleep(ms: number): void {
    if (this.stopping.signal.aborted) return;
    this.cancel = this.clock.after(Math.max(ms, 0) + LATE_MS, () => void this.turn());
  }

  private pauseAfter({ isDone }: Pick<RunRecord, 'isDone'>): number {
    return isDone ? this.doneForMs : this.retryAfterMs;
  }

  /** @throws StoreUnavailableError, the reason of the end; not what the run throws */
  private async run({ signal }: LoadContext<RunRecord>): Promise<RunRecord> {
    // Where nothing can be shared there is no election either: every process would run.
    if (!(await this.cache.set([this.options.name, 'runner'], process.pid, { ttl: this.leaseMs })))
      throw new StoreUnavailableError('cache', 'warm-up', 'refused');
    const began = this.clock.now();
    this.tell({ state: 'running', isOwn: true, done: 0, total: undefined, error: undefined });
    try {
      await this.carryOut(signal);
    } catch (error) {
      const tookMs = this.clock.now() - began;
      this.tell({ state: 'failed', tookMs, error });
      if (signal.aborted) throw error;
      return { isDone: false, tookMs };
    }
    const tookMs = this.clock.now() - began;
    this.tell({ state: 'done', tookMs });
    return { isDone: true, tookMs };
  }

  /** Ends when the run does or, whatever the run does, with its signal. */
  private async carryOut(ending: AbortSignal): Promise<void> {
    const { timeoutMs, options } = this;
    const controller = new AbortController();
    const { signal } = controller;
    const stopped = new Promise<never>((_, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
    );
    const end = (): void => controller.abort(ending.reason);
    ending.addEventListener('abort', end, { once: true });
    const late = (): void =>
      controller.abort(
        new TieredCacheError('warm_up_timeout', `warm-up "${options.name}" has run for ${timeoutMs} ms (timeout)`),
      );
    const cancel = timeoutMs === undefined ? undefined : this.clock.after(timeoutMs, late);
    const work = (async () => options.run(this.handle(signal)))();
    this.running = work.catch(() => undefined);
    try {
      await Promise.race([work, stopped]);
    } finally {
      cancel?.();
      ending.removeEventListener('abort', end);
    }
  }

  private handle(signal: AbortSignal): WarmUpRun {
    return {
      signal,
      progress: (done, total = this.status.total) => {
        signal.throwIfAborted();
        if (this.status.state === 'running') this.tell({ done, total });
      },
    };
  }

  private tell(change: Partial<WarmUpStatus>): void {
    this.status = { ...this.status, ...change };
    this.changed(this.status);
  }
}
