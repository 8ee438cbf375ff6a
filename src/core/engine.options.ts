import type { CacheStore } from '../stores/contract/cache-store.js';
import type { NamespaceOptions, StampOptions } from './cache.options.js';
import type { Clock } from './clock/clock.js';
import type { StampParts } from './keys/stamp.js';
import type { PendingCounts } from './outage/invalidation-queue.js';
import type { StoreNews } from './outage/store-guard.js';
import type { StampFeed } from './stamp-feeds.js';
import type { MemoryLimits } from './tiers/memory.tier.js';
import type { RequestScope } from './tiers/request.scope.js';

/** A namespace adds what is its own. */
export type ConfiguredVersion = Omit<StampParts, 'schema' | 'own'>;

/** What an engine is made of; TieredCacheModule makes them of its own options. */
export interface EngineOptions {
  readonly store: CacheStore;
  readonly clock?: Clock;
  /** Application version, build id and configured stamp; a namespace adds its schema version. */
  readonly version?: ConfiguredVersion;
  /** Says which stamp the whole application has: each is announced as by `setApplicationStamp`. */
  readonly applicationStamp?: { readonly feed: StampFeed } & Pick<StampOptions, 'grace'>;
  /** Told of a feed of stamps that has failed, and of a stamp that cannot be one; `field` says whose. */
  readonly onStampFailed?: (error: unknown, field: string) => void;
  /** `default` is added if it is not among them. */
  readonly namespaces?: readonly NamespaceOptions[];
  /** `false` leaves the in-process tier out. */
  readonly memory?: MemoryLimits | false;
  /** Default 250 ms. */
  readonly deadlineMs?: number;
  /** The tier of the request being served, if one is. */
  readonly requestScope?: (() => RequestScope | undefined) | undefined;
  /** `false`: every call passes through to its loader. */
  readonly enabled?: boolean;
  /** What a caller of a cold key is thrown; its `code` must be `cold_cache`. Default: a ColdCacheError. TieredCacheModule has one for Nest. */
  readonly newColdError?: (key: string, retryAfterMs: number) => Error;
  /**
   * For caches elsewhere: told of tags when the store has acknowledged their invalidation, or has refused it; where it waited for the store,
   * once more when it has landed. Must not throw.
   */
  readonly onTagsInvalidated?: (tags: readonly string[]) => void;
  /** Told how the store is doing. */
  readonly storeNews?: StoreNews;
  /** Told at the end of invalidations that never reached the store. */
  readonly onUnsent?: (counts: PendingCounts) => void;
}
