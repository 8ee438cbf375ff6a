import type { Found, Tier, ValueSource } from './tiers/found.js';
import { CachedResponseError } from './errors/cache.error.js';

/**
 * The answer to a read: found or not, and only then a value. A cached `undefined`, `null`, `false` or `0` is found.
 * The value never shows up in logs, JSON or string conversions of the response.
 * (After edx-django-utils' `CachedResponse`.)
 * @example const hit = await cache.get('k'); if (hit.isFound) use(hit.value);
 */
export class CachedResponse<T = unknown> {
  /** The value, or a ValueSource that has it. */
  readonly #held: unknown;
  readonly #isSource: boolean;

  private constructor(
    /** As encoded. */
    readonly key: string,
    /** Whether there was an entry. Test this, not the response itself: objects are always truthy in JavaScript. */
    readonly isFound: boolean,
    /** Which tier answered; `undefined` on a miss. */
    readonly tier: Tier | undefined,
    /** Since the value was loaded; `undefined` on a miss. */
    readonly ageMs: number | undefined,
    /** Past `freshFor`: still usable, due for a refresh. */
    readonly isStale: boolean,
    held: unknown,
    isSource: boolean,
  ) {
    this.#held = held;
    this.#isSource = isSource;
  }

  /** For the engine. @internal */
  static found<T>(key: string, found: Found, now: number): CachedResponse<T> {
    const ageMs = Math.max(0, now - found.createdAt);
    const isStale = found.isHeldOver || now >= found.freshUntil;
    return new CachedResponse<T>(key, true, found.tier, ageMs, isStale, found.value, true);
  }

  /** For the engine: a fresh value of the memory tier that its readers share. @internal */
  static shared<T>(key: string, value: unknown, ageMs: number): CachedResponse<T> {
    return new CachedResponse<T>(key, true, 'memory', ageMs, false, value, false);
  }

  /** For the engine. @internal */
  static miss<T>(key: string): CachedResponse<T> {
    return new CachedResponse<T>(key, false, undefined, undefined, false, undefined, false);
  }

  /** @throws CachedResponseError on a miss */
  get value(): T {
    if (this.#isSource) return (this.#held as ValueSource).take() as T;
    if (this.isFound) return this.#held as T;
    throw new CachedResponseError(
      `there is no value for key "${this.key}": test isFound first, or use getValueOrDefault()`,
    );
  }

  /** The value, or `fallback` on a miss. A cached `undefined` or `null` is the value. */
  getValueOrDefault<D>(fallback: D): T | D {
    return this.isFound ? this.value : fallback;
  }

  toJSON(): object {
    return { key: this.key, isFound: this.isFound, tier: this.tier, ageMs: this.ageMs, isStale: this.isStale };
  }

  toString(): string {
    return `CachedResponse(key=${this.key}, isFound=${this.isFound}${this.isFound ? ", value='*****'" : ''})`;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  /** Comparisons and arithmetic with a response are a mistake: its `value` was meant. Template literals get the masked text. */
  [Symbol.toPrimitive](hint: string): string {
    if (hint === 'string') return this.toString();
    throw new CachedResponseError(
      `a CachedResponse was used as a value (key "${this.key}"): use its value, isFound or getValueOrDefault()`,
    );
  }
}
