import { Logger } from '@nestjs/common';
import { applicationVersion } from './application-version.js';
import type { NamespaceOptions } from './core/cache.options.js';
import { CacheEngine } from './core/cache-engine.js';
import type { EngineOptions } from './core/engine.options.js';
import { CacheUsageError } from './core/errors/cache.error.js';
import type { PendingCounts } from './core/outage/invalidation-queue.js';
import { counted } from './core/errors/counted.js';
import { durationMs } from './core/clock/duration.js';
import type { StampParts } from './core/keys/stamp.js';
import { isStampFeed } from './core/stamp-feeds.js';
import { ColdCacheException } from './functions/cold-cache.exception.js';
import type { PurgeService } from './invalidation/purge/purge.service.js';
import type { NamespaceSettings } from './namespace-settings.js';
import { remoteStore } from './remote-store.js';
import type { RequestContext } from './request-cache/request-context.js';
import { checkGrace, withStamp } from './stamp-source.js';
import { StoreReports } from './store-reports.js';
import { DEFAULT_NAMESPACE } from './tiered-cache.constants.js';
import type { CacheStore } from './stores/contract/cache-store.js';
import { validateResolved } from './tiered-cache.options-validation.js';
import type { MemoryOptions, Resolvable, TieredCacheOptions, VersionOptions } from './tiered-cache.options.js';

const DEFAULT_DEADLINE_MS = 250;

/** The store behind the remote tier; connects to nothing. */
export async function createRemoteStore(options: TieredCacheOptions): Promise<CacheStore> {
  const remote = await resolve(options.remote);
  validateResolved('remote', remote);
  return remoteStore(remote, options.prefix);
}

/** Builds the engine from options that were validated; connects to nothing. */
export async function createEngine(
  options: TieredCacheOptions,
  settings: NamespaceSettings,
  context: RequestContext,
  store: CacheStore,
  purges: PurgeService,
): Promise<CacheEngine> {
  const [enabled, version] = await Promise.all([resolve(options.enabled), resolveVersion(options.version ?? {})]);
  validateResolved('enabled', enabled);
  const applicationStamp = feedOf(options.version ?? {});
  const namespaces: NamespaceOptions[] = [...(options.namespaces ?? [])];
  if (!namespaces.some(({ name }) => name === DEFAULT_NAMESPACE)) namespaces.unshift({ name: DEFAULT_NAMESPACE });
  return new CacheEngine({
    store,
    version,
    ...(applicationStamp && { applicationStamp }),
    onStampFailed: warnOfStamp,
    namespaces: await Promise.all(namespaces.map((namespace) => withStamp(settings.complete(namespace)))),
    memory: options.memory === false ? false : memoryLimits(options.memory ?? {}),
    deadlineMs: durationMs(options.deadline ?? DEFAULT_DEADLINE_MS, 'deadline'),
    requestScope: context.current,
    enabled: enabled ?? true,
    onTagsInvalidated: (tags) => purges.purge(tags),
    newColdError: (key, retryAfterMs) => new ColdCacheException(key, retryAfterMs),
    onUnsent: warnOfUnsent,
    storeNews: new StoreReports(store.name),
  });
}

const logger = new Logger('TieredCache');

function warnOfUnsent({ keys, tokens }: PendingCounts): void {
  logger.warn(
    `the cache closes with invalidations that never reached the store: ${counted(keys, 'key')} and ${counted(tokens, 'token')} (of tags, prefixes or namespaces); others may serve them until they expire`,
  );
}

/** A feed goes on without the stamp that was no good, and nobody waits for its answer. */
function warnOfStamp(error: unknown, field: string): void {
  const name = error instanceof Error ? error.name : typeof error;
  const what = error instanceof CacheUsageError ? `what it emitted is none, ${error.message}` : `it failed (${name})`;
  logger.error(`${field}: ${what}; entries stay under the stamp of before`);
}

function feedOf({ stamp, grace }: VersionOptions): EngineOptions['applicationStamp'] {
  checkGrace('version.', stamp, 'grace', grace);
  return isStampFeed(stamp) ? { feed: stamp, ...(grace !== undefined && { grace }) } : undefined;
}

async function resolveVersion(version: VersionOptions): Promise<StampParts> {
  const [app, build, stamp] = await Promise.all([
    resolve(version.app ?? (() => applicationVersion() ?? '')),
    resolve(version.build),
    isStampFeed(version.stamp) ? undefined : resolve(version.stamp),
  ]);
  validateResolved('version.app', app);
  validateResolved('version.build', build);
  validateResolved('version.stamp', stamp);
  return { app: app || undefined, build, stamp };
}

function memoryLimits(memory: MemoryOptions): { maxEntries: number; maxBytes: number; maxStaleWithoutBusMs: number } {
  return {
    maxEntries: memory.maxEntries ?? 10_000,
    maxBytes: memory.maxBytes ?? 64 * 2 ** 20,
    maxStaleWithoutBusMs: durationMs(memory.maxStaleWithoutBus ?? 5000, 'memory.maxStaleWithoutBus'),
  };
}

/** A setting, or what its function says. */
export function resolve<T>(value: Resolvable<T> | undefined): T | undefined | Promise<T> {
  return typeof value === 'function' ? (value as () => T | Promise<T>)() : value;
}
