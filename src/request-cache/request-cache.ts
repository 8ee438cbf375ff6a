import type { CacheKey } from '../core/cache.options.js';
import { CachedResponse } from '../core/cached-response.js';
import { encodeKey } from '../core/keys/key-encoding.js';
import type { Found, ValueSource } from '../core/tiers/found.js';
import { Epoch } from '../core/tokens/epoch.js';
import type { RequestContext } from './request-context.js';

const NOT_FENCED = new Epoch('request-cache', undefined).fence;

/** One value and when it was put there; what CachedResponse reads. */
class Held implements Found {
  readonly tier = 'request';
  readonly createdAt = performance.now();
  readonly freshUntil = Infinity;
  readonly expiresAt = Infinity;
  readonly fence = NOT_FENCED;
  readonly isHeldOver = false;
  readonly isGraced = false;
  readonly bytes = 0;
  readonly value: ValueSource;

  constructor(held: unknown) {
    this.value = { perReader: false, take: () => held };
  }
}

/**
 * One namespace of what the current request remembers. Two objects for one namespace share its data; no other request sees it.
 * Values are handed out as the very object that was put in. Outside any scope reads miss and writes do nothing.
 */
export class RequestCache {
  constructor(
    protected readonly context: RequestContext,
    protected readonly namespaceName: string,
  ) {}

  /** A cached `undefined` or `null` is found. @throws CacheUsageError `invalid_key` */
  get<T = unknown>(key: CacheKey): CachedResponse<T> {
    const encoded = encodeKey(key);
    const held = this.data()?.get(encoded);
    return held === undefined
      ? CachedResponse.miss(encoded)
      : CachedResponse.found(encoded, held as Held, performance.now());
  }

  /** @throws CacheUsageError `invalid_key` */
  set(key: CacheKey, value: unknown): void {
    const encoded = encodeKey(key);
    const scope = this.context.current();
    scope?.keep(scope.values, this.namespaceName, encoded, new Held(value));
  }

  /** Sets the value unless the key has one already. @returns the value the key has now. @throws CacheUsageError `invalid_key` */
  setDefault<T>(key: CacheKey, value: T): T {
    const found = this.get<T>(key);
    if (found.isFound) return found.value;
    this.set(key, value);
    return value;
  }

  /** @returns whether there was a value. @throws CacheUsageError `invalid_key` */
  delete(key: CacheKey): boolean {
    return this.data()?.delete(encodeKey(key)) ?? false;
  }

  /** Forgets this namespace, in this request. */
  clear(): void {
    this.context.current()?.values.delete(this.namespaceName);
  }

  private data(): Map<string, unknown> | undefined {
    return this.context.current()?.values.get(this.namespaceName);
  }
}
