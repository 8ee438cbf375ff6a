import { Logger } from '@nestjs/common';
import { closestName } from './closest-name.js';
import type { FailedLoad, NamespaceOptions } from './core/cache.options.js';
import { CacheUsageError } from './core/errors/cache.error.js';
import type { LifetimeOptions, NamespaceDefaults, TieredCacheOptions } from './tiered-cache.options.js';

/** Completes what code says of a namespace with the application's defaults and, winning over both, its configured lifetimes. */
export class NamespaceSettings {
  private readonly defaults: NamespaceDefaults;
  private readonly lifetimes = new Map<string, LifetimeOptions>();
  private readonly seen = new Map<string, string>();

  constructor(options: Pick<TieredCacheOptions, 'defaults' | 'lifetimes'>) {
    this.defaults = { onLoadError: warnOfStale, ...given(options.defaults ?? {}) };
    for (const [name, lifetime] of Object.entries(options.lifetimes ?? {}))
      this.lifetimes.set(spelling(name), lifetime);
  }

  complete(namespace: NamespaceOptions): NamespaceOptions {
    const name = spelling(namespace.name);
    this.seen.set(name, namespace.name);
    return {
      ...given(this.defaults),
      ...given(namespace),
      ...given(this.lifetimes.get(name) ?? {}),
      name: namespace.name,
    };
  }

  /**
   * To be called when all namespaces are known.
   * @throws CacheUsageError `unknown_namespace` for a lifetime of a namespace that nobody has declared
   */
  check(): void {
    for (const name of this.lifetimes.keys()) {
      if (this.seen.has(name)) continue;
      const closest = closestName(name, [...this.seen.keys()]);
      const mend =
        closest === undefined ? `declared are ${[...this.seen.values()].join(', ')}` : `did you mean ${closest}?`;
      throw new CacheUsageError(
        'unknown_namespace',
        `lifetimes.${name} (CACHE_TTL_${name}, CACHE_FRESH_FOR_${name}): no such namespace; ${mend}`,
      );
    }
  }
}

/** `content-metadata` and `CONTENT_METADATA` are one name: a variable's name has no room for more. */
function spelling(name: string): string {
  return name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_');
}

/** Without fields that are there but `undefined`: those are no wish to override. */
function given<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

const logger = new Logger('TieredCache');

/** Failures that reach a caller are the caller's to report; one that nobody notices is told here. Names no key: it may be somebody's. */
function warnOfStale(error: unknown, { namespace, isServedStale }: FailedLoad): void {
  const name = error instanceof Error ? error.name : typeof error;
  if (isServedStale) logger.warn(`a refresh in namespace "${namespace}" failed (${name}); the stale value is served`);
}
