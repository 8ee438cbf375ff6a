import type { WarmUpRun, WarmUpSchedule } from './warm-up.options.js';

const METHODS: unique symbol = Symbol('TIERED_CACHE_WARM_UPS');

/** What `@WarmUp()` takes. */
export interface WarmUpMethodOptions extends WarmUpSchedule {
  /** The same in all processes, and one of a kind in the application. Default `Class.method`. */
  name?: string;
}

export interface WarmUpMethod extends WarmUpMethodOptions {
  readonly method: string | symbol;
}

/**
 * Registers a method of a provider, controller or their bases with the CacheWarmer. Not for request-scoped ones: nobody's request runs it.
 * @example
 * @WarmUp({ every: '10m' })
 * async bestsellers(warm: WarmUpRun): Promise<void> {
 *   for (const [i, id] of ids.entries()) { await this.top(id); warm.progress(i + 1, ids.length); }
 * }
 */
export function WarmUp(options: WarmUpMethodOptions = {}) {
  return <T extends (warm: WarmUpRun) => unknown>(
    target: object,
    method: string | symbol,
    _descriptor: TypedPropertyDescriptor<T>,
  ): void => {
    const { constructor } = target;
    const others = warmUpsOf(constructor).filter((other) => other.method !== method);
    // On the class, not on the function: another decorator may replace that.
    Reflect.defineMetadata(METHODS, [...others, { ...options, method }], constructor);
  };
}

/** Of a class and its bases. */
export function warmUpsOf(type: object): readonly WarmUpMethod[] {
  return (Reflect.getMetadata(METHODS, type) as readonly WarmUpMethod[] | undefined) ?? [];
}
