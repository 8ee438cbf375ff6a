import { CacheUsageError } from '../core/errors/cache.error.js';
import { RequestCache } from './request-cache.js';
import type { RequestContext } from './request-context.js';

const DEFAULT_NAMESPACE = 'default';

/**
 * What the current request remembers, and nobody else sees: a place for values that are worth keeping until the response is sent.
 * The service itself is the default namespace.
 * @example constructor(private readonly request: RequestCacheService) {}
 * this.request.namespace('tenant').setDefault('id', tenantId);
 */
export class RequestCacheService extends RequestCache {
  constructor(context: RequestContext) {
    super(context, DEFAULT_NAMESPACE);
  }

  /** Whether the running code is inside a request or another scope: elsewhere nothing is remembered. */
  get isActive(): boolean {
    return this.context.current() !== undefined;
  }

  /**
   * A named part with keys of its own; no name means the default one.
   * @throws CacheUsageError `reserved_namespace` for the default namespace's own name
   */
  namespace(name?: string | null): RequestCache {
    if (name === undefined || name === null || name === '') return this;
    if (name === DEFAULT_NAMESPACE) {
      throw new CacheUsageError(
        'reserved_namespace',
        `"${DEFAULT_NAMESPACE}" is reserved: leave the name out to get the default namespace`,
      );
    }
    return new RequestCache(this.context, name);
  }

  /** Forgets all namespaces, in this request. What the engine's request tier holds is not touched. */
  clearAll(): void {
    this.context.current()?.values.clear();
  }

  /**
   * Runs `fn` as if it were a request of its own: a fresh scope that ends when `fn` has returned or settled.
   * @returns what `fn` returns
   * @example await this.request.runInCacheScope(() => this.importBooks())
   */
  runInCacheScope<T>(fn: () => T): T {
    return this.context.run(fn);
  }
}
