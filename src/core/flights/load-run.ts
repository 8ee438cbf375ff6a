import type { CacheKey, LoadContext, StaleValue } from '../cache.options.js';
import type { Clock } from '../clock/clock.js';
import type { Lifetime } from '../clock/duration.js';
import { lifetimeMs } from '../clock/duration.js';
import { CacheUsageError, LoadTimeoutError } from '../errors/cache.error.js';
import { checkTags, type LoadPlan } from '../freshness/load-plan.js';
import { livesOfLoaded, type Lives } from '../freshness/lives.js';
import { tagToken } from '../namespace.js';
import type { Found } from '../tiers/found.js';

/** What came of a load. */
export interface Loaded {
  readonly value: unknown;
  /** `undefined`: not to be stored. */
  readonly lives: Lives | undefined;
  /** Labels that were not known before the load. */
  readonly lateTags: readonly string[];
  /** The value is the stale one, with a new life. */
  readonly isNotModified: boolean;
  /** The key to store it under, where that is known only after the load. */
  readonly under: CacheKey | undefined;
}

/** One run of a loader: what it is told, what it says of its value, and when it has to end. */
export class LoadRun implements LoadContext<unknown> {
  readonly stale: StaleValue<unknown> | undefined;
  private controller: AbortController | undefined;
  private stopped: { readonly reason: unknown } | undefined;
  private isSkipped = false;
  private isNotModified = false;
  private under: CacheKey | undefined;
  private lives: Lives | undefined;
  private tags: readonly string[] = [];
  private tagsOf: ((value: unknown) => readonly string[]) | undefined;

  constructor(
    readonly key: CacheKey,
    private readonly plan: LoadPlan,
    private readonly clock: Clock,
    stale?: Found,
  ) {
    this.stale = stale && {
      get value() {
        return stale.value.take();
      },
      ageMs: clock.now() - stale.createdAt,
    };
  }

  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    if (this.stopped) this.controller.abort(this.stopped.reason);
    return this.controller.signal;
  }

  // Functions of their own, for loaders that take the context apart: `({ signal, setTtl }) => ...`.
  readonly setTtl = (ttl: Lifetime, freshFor: Lifetime = ttl): void => {
    const ttlMs = lifetimeMs(ttl, 'setTtl(ttl)');
    this.lives = { ttlMs, freshForMs: Math.min(ttlMs, lifetimeMs(freshFor, 'setTtl(freshFor)')) };
  };

  readonly setTags = (tags: readonly string[]): void => {
    const all = [...new Set([...this.tags, ...checkTags(tags, 'setTags(tags)')])];
    this.tags = checkTags(all, 'setTags(tags), all calls of a load together,');
  };

  readonly skip = (): void => {
    this.isSkipped = true;
  };

  readonly notModified = <T>(): T => {
    if (!this.stale)
      throw new CacheUsageError('nothing_stale', 'notModified() without a stale value: look at context.stale first');
    this.isNotModified = true;
    return this.stale.value as T;
  };

  /** For the rooms of this package: as {@link setTags}, once there is a value that is to be stored. */
  tagBy(tagsOf: (value: unknown) => readonly string[]): void {
    this.tagsOf = tagsOf;
  }

  /** For the rooms of this package: what was loaded belongs to another key, as a response whose `Vary` is known only when it is there. */
  storeUnder(key: CacheKey): void {
    this.under = key;
  }

  /** Runs the loader to its end, or to that of its time. A loader that ignores its signal goes on, unheard. */
  async run(
    loader: (context: LoadRun) => unknown,
    stopped: (stop: (reason: unknown) => void) => void,
  ): Promise<Loaded> {
    let cancel: (() => void) | undefined;
    const value = await new Promise<unknown>((resolve, reject) => {
      const stop = (reason: unknown): void => {
        this.stopped ??= { reason };
        this.controller?.abort(reason);
        reject(reason as Error);
      };
      const { hardTimeoutMs } = this.plan;
      if (hardTimeoutMs !== Infinity)
        cancel = this.clock.after(hardTimeoutMs, () => stop(new LoadTimeoutError(hardTimeoutMs)));
      stopped(stop);
      // Not `resolve(loader(this))`, which would follow the loader's promise and no longer hear of `stop`.
      if (!this.stopped) Promise.resolve(loader(this)).then(resolve, reject);
    }).finally(() => cancel?.());
    return this.judge(value);
  }

  private judge(value: unknown): Loaded {
    const { plan, isNotModified, under } = this;
    // The other functions need not be made for a value that is not to be stored: null, say.
    const isKept = !this.isSkipped && (plan.shouldCache?.(value) ?? true);
    const lives = isKept ? this.livesOf(value) : undefined;
    const lateTags = lives ? this.lateTagsOf(value) : [];
    return { value, lives, lateTags, isNotModified, under };
  }

  private livesOf(value: unknown): Lives | undefined {
    const { plan, isNotModified } = this;
    const lives = this.lives ?? livesOfLoaded(isNotModified ? { ...plan, jitter: 0 } : plan, value);
    return lives.ttlMs > 0 ? lives : undefined;
  }

  private lateTagsOf(value: unknown): readonly string[] {
    const chosen = this.plan.tagsOf ? checkTags(this.plan.tagsOf(value), 'tags()') : [];
    if (this.tagsOf) this.setTags(this.tagsOf(value));
    const lateTags = [...new Set([...chosen, ...this.tags])];
    lateTags.forEach(tagToken);
    return lateTags;
  }
}
