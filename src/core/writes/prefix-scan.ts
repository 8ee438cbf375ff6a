import type { CacheKey, ScanOptions, ScanProgress } from '../cache.options.js';
import type { CacheEngine } from '../cache-engine.js';
import type { Clock } from '../clock/clock.js';
import { durationMs } from '../clock/duration.js';
import { CacheUsageError } from '../errors/cache.error.js';
import { localOfStoreKey, type Address } from '../keys/address.js';
import { encodeKey } from '../keys/key-encoding.js';
import { HASHED_PREFIX, isShortened } from '../keys/store-key.js';
import { covers, type Namespace } from '../namespace.js';
import type { Invalidations } from './invalidations.js';

/** Finds entries by the beginning of their keys, step by step through all that the store has. */
export class PrefixScan {
  constructor(
    private readonly engine: CacheEngine,
    private readonly space: Namespace,
    private readonly invalidations: Invalidations,
  ) {}

  async delete(prefix: CacheKey, options: ScanOptions = {}): Promise<ScanProgress> {
    const { guard, clock } = this.engine;
    const { signal, maxSteps = Infinity, onProgress } = options;
    const pauseMs = durationMs(options.pause ?? 0, 'pause');
    const encoded = encodeKey(prefix);
    let progress: ScanProgress = { steps: 0, deleted: 0, undecided: 0, cursor: options.cursor };
    if (this.engine.passThrough) return progress;
    this.checkStore();
    // Of a long key the store has no more than its beginning.
    const searched = this.space.storePrefix + encoded.slice(0, HASHED_PREFIX);
    for (;;) {
      signal?.throwIfAborted();
      const { cursor } = progress;
      const step = await guard.run('scan', guard.budget(), async (store) => store.scan?.(searched, cursor));
      const { covered, undecided } = this.sort(encoded, step?.keys ?? []);
      progress = {
        steps: progress.steps + 1,
        deleted: progress.deleted + (await this.invalidations.remove(covered, 'reject')),
        undecided: progress.undecided + undecided,
        cursor: step?.cursor,
      };
      onProgress?.(progress);
      if (progress.cursor === undefined || progress.steps >= maxSteps) return progress;
      if (pauseMs > 0) await paused(clock, pauseMs, signal);
    }
  }

  private checkStore(): void {
    if (this.engine.capabilities.scan) return;
    throw new CacheUsageError(
      'scan_unsupported',
      `this store cannot be scanned: declare the prefix in the "prefixes" of namespace "${this.space.name}", or use a tag`,
    );
  }

  private sort(prefix: string, keys: readonly string[]): { covered: Address[]; undecided: number } {
    const covered: Address[] = [];
    let undecided = 0;
    for (const store of keys) {
      const short = store.slice(this.space.storePrefix.length, -1);
      const local = localOfStoreKey(this.space, store);
      if (local === undefined) continue;
      // Whether it is under a prefix that goes beyond what can be read of it cannot be told.
      if (isShortened(short) && prefix.length >= HASHED_PREFIX) undecided++;
      else if (covers(prefix, short)) covered.push({ encoded: short, local, store });
    }
    return { covered, undecided };
  }
}

/** Or until somebody wants it to end. */
function paused(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.after(ms, end);
    signal?.addEventListener('abort', end);
    if (signal?.aborted) end();
  });
}
