import { Logger } from '@nestjs/common';
import type { LoadContext } from '../core/cache.options.js';
import type { CacheService } from '../core/cache.service.js';
import type { LoadRun } from '../core/flights/load-run.js';
import { PlannedOptions, type LoadPlan } from '../core/freshness/load-plan.js';
import type { EncodedKey } from '../core/keys/encoded-key.js';
import type { CachedFunction } from './cached-function.js';
import { classInside } from './class-of-value.js';
import { FunctionKeys } from './function-keys.js';
import { withLoad } from './load-context.js';
import { noObservable, onlyValue } from './single-emission.js';

const logger = new Logger('Cached');

/** A cached function on the objects of one class in one application. */
export class BoundFunction {
  private readonly keys: FunctionKeys;
  private readonly plan: LoadPlan;
  private readonly usual: PlannedOptions;
  /** A value of the memory tier is all that is asked for. */
  private readonly takesHits: boolean;
  private hasWarned = false;

  constructor(
    private readonly fn: CachedFunction,
    readonly cache: CacheService,
    readonly label: string,
    head: readonly string[],
  ) {
    this.keys = new FunctionKeys(label, head, fn.takesNothing, fn.options.key);
    this.plan = cache.plan(fn.loadOptions);
    this.usual = new PlannedOptions(this.plan);
    this.takesHits = this.plan.eagerRefresh === 1;
  }

  /** The hot path: what a call with this argument only, or none, is answered at once, if anything. */
  answer(only: unknown): Promise<unknown> | undefined {
    const key = this.keys.known(only);
    return key === undefined || !this.takesHits ? undefined : this.cache.answer(key);
  }

  /** @throws CacheUsageError `invalid_key` */
  call(self: object, args: unknown[], signal?: AbortSignal): Promise<unknown> {
    const key = this.keyOf(self, args);
    const answer = this.takesHits ? this.cache.answer(key) : undefined;
    if (answer !== undefined) return answer;
    const options = signal === undefined ? this.usual : new PlannedOptions(this.plan, false, signal);
    return this.load(self, args, key, options);
  }

  /** @throws CacheUsageError `invalid_key` */
  refresh(self: object, args: unknown[]): Promise<unknown> {
    return this.load(self, args, this.keyOf(self, args), new PlannedOptions(this.plan, true));
  }

  /** @throws CacheUsageError `invalid_key` */
  keyOf(self: object, args: readonly unknown[]): EncodedKey {
    return (args.length < 2 ? this.keys.known(args[0]) : undefined) ?? this.keys.of(self, args);
  }

  private load(self: object, args: unknown[], key: EncodedKey, options: PlannedOptions): Promise<unknown> {
    return this.cache.getOrSet(key, (context) => this.run(self, args, context), options);
  }

  private run(self: object, args: unknown[], context: LoadContext): unknown {
    const { original, returnsObservable, options } = this.fn;
    const { tags } = options;
    if (typeof tags === 'function') (context as LoadRun).tagBy((value) => tags.call(self, value, args));
    const returned = withLoad(context, () => original.apply(self, args));
    const made = returnsObservable
      ? onlyValue(returned, context.signal, this.label)
      : noObservable(returned, this.label);
    return this.hasWarned ? made : this.lookedAt(made);
  }

  /** What a class hides from clients by decorators (`@Exclude()`) is data like the rest to the cache, and would be sent by who returns it. */
  private async lookedAt(made: unknown): Promise<unknown> {
    const value = await made;
    const type = classInside(value);
    if (type !== undefined && !this.hasWarned) {
      this.hasWarned = true;
      logger.warn(
        `${this.label} returns an instance of ${type}, of which the cache keeps the fields only: methods, getters and what decorators hide from clients (@Exclude()) are lost; return plain objects, or give the class a toJSON()`,
      );
    }
    return value;
  }
}
