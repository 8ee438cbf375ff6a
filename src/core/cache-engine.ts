import type { CacheStore, StoreCapabilities } from '../stores/contract/cache-store.js';
import type { NamespaceOptions, StampOptions } from './cache.options.js';
import { CacheService } from './cache.service.js';
import type { Clock } from './clock/clock.js';
import { systemClock } from './clock/clock.js';
import type { ValueCodec } from './codec/value.codec.js';
import { StoreClock } from './clock/store-clock.js';
import type { ConfiguredVersion, EngineOptions } from './engine.options.js';
import { EntryCodec } from './entry-codec.js';
import { CacheUsageError, ColdCacheError, StoreUnavailableError } from './errors/cache.error.js';
import { FencedFill } from './flights/fenced-fill.js';
import { KeyWatch } from './flights/key-watch.js';
import { ReadThrough } from './flights/read-through.js';
import { RemoteReader } from './flights/remote.reader.js';
import { SingleFlight } from './flights/single-flight.js';
import { Waiters } from './flights/waiters.js';
import { makeStamp } from './keys/stamp.js';
import { Namespace } from './namespace.js';
import type { PendingCounts } from './outage/invalidation-queue.js';
import { StoreGuard } from './outage/store-guard.js';
import { randomText } from './random/random.text.js';
import { isStampFeed, StampFeeds, type StampFeed } from './stamp-feeds.js';
import { WaitingTags } from './outage/waiting-tags.js';
import { MemoryTier, type MemoryLimits } from './tiers/memory.tier.js';
import type { RequestScope } from './tiers/request.scope.js';
import { TierCoherence } from './tiers/tier-coherence.js';
import { APPLICATION_STAMP, stampToken } from './tokens/token-parts.js';
import { TokenRegistry } from './tokens/token-registry.js';
import { announcementOf, AnnouncedStamps } from './writes/announced-stamps.js';

export const DEFAULT_NAMESPACE = 'default';
/** How long a call may wait for the store, over all its steps. */
const DEFAULT_DEADLINE_MS = 250;
const DEFAULT_LIMITS: MemoryLimits = { maxEntries: 10_000, maxBytes: 64 * 1024 * 1024, maxStaleWithoutBusMs: 5000 };

/** What the services of all namespaces share: the tiers, the store behind its guard, and what is under way. */
export class CacheEngine {
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly guard: StoreGuard;
  readonly memory: MemoryTier | undefined;
  readonly tokens: TokenRegistry;
  readonly watch = new KeyWatch();
  readonly waiters: Waiters;
  readonly coherence: TierCoherence;
  readonly entries: EntryCodec;
  readonly reader: RemoteReader;
  readonly singleFlight: SingleFlight;
  readonly requestScope: (() => RequestScope | undefined) | undefined;
  /** Nothing is kept: every call passes through to its loader. */
  readonly passThrough: boolean;
  readonly capabilities: StoreCapabilities;
  readonly stamps: AnnouncedStamps;
  readonly waitingTags = new WaitingTags();
  readonly tagsInvalidated: (tags: readonly string[]) => void;
  private readonly store: CacheStore;
  private readonly filling: FencedFill;
  private readonly newColdError: (key: string, retryAfterMs: number) => Error;
  private readonly onUnsent: (counts: PendingCounts) => void;
  private readonly version: ConfiguredVersion;
  private readonly feeds: StampFeeds;
  private readonly namespaces = new Map<string, Namespace>();
  private readonly services = new Map<string, CacheService>();

  /** @throws CacheUsageError for a bad or doubled namespace */
  constructor(options: EngineOptions) {
    this.store = options.store;
    this.capabilities = options.store.capabilities;
    this.newColdError = options.newColdError ?? ((key, retryAfterMs) => new ColdCacheError(key, retryAfterMs));
    this.tagsInvalidated = options.onTagsInvalidated ?? (() => undefined);
    this.onUnsent = options.onUnsent ?? (() => undefined);
    this.clock = options.clock ?? systemClock;
    this.version = options.version ?? {};
    this.passThrough = options.enabled === false || !options.store.capabilities.stores;
    this.requestScope = this.passThrough ? undefined : options.requestScope;
    const deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS;
    const landed = {
      removed: (keys: readonly string[]) => this.coherence.changed(keys),
      rotated: (names: readonly string[]) => {
        this.coherence.rotated(names);
        // Once more: until now other processes may have served what was to go.
        const tags = this.waitingTags.take(names, this.guard.queue.isEmpty);
        if (tags.length > 0) this.tagsInvalidated(tags);
      },
      widened: (name: string) => this.coherence.rotated([name]),
    };
    const resetClock = (): void => this.storeClock.reset();
    this.guard = new StoreGuard(options.store, this.clock, deadlineMs, resetClock, landed, options.storeNews);
    this.storeClock = new StoreClock(this.clock, () => this.store.now(), deadlineMs);
    this.waiters = new Waiters(this.clock);
    const isHeard = (): boolean => this.coherence.isHeard;
    this.tokens = new TokenRegistry(
      (names, budget) => this.guard.run('tokens', budget, (store) => store.tokens(names)),
      isHeard,
      () => this.clock.roughly?.() ?? this.clock.now(),
    );
    const limits = options.memory === false ? undefined : (options.memory ?? DEFAULT_LIMITS);
    this.memory = limits && new MemoryTier(limits, this.clock);
    this.entries = new EntryCodec(this.clock, this.storeClock);
    this.reader = new RemoteReader(
      this.clock,
      this.storeClock,
      this.guard,
      this.entries,
      this.tokens,
      this.memory,
      this.watch,
    );
    this.coherence = new TierCoherence(
      this.namespaces,
      this.memory,
      this.tokens,
      this.watch,
      this.waiters,
      this.reader,
      () => {
        this.storeClock.reset();
        void this.guard.queue.flush();
      },
      (silentMs) => this.clock.now() + (limits ?? DEFAULT_LIMITS).maxStaleWithoutBusMs - silentMs,
    );
    this.filling = new FencedFill(
      this.clock,
      this.guard,
      (budget) => this.reader.ready(budget),
      this.entries,
      this.tokens,
      this.memory,
      this.watch,
      this.waiters,
    );
    const readThrough = new ReadThrough(
      this.clock,
      this.guard,
      this.reader,
      this.tokens,
      this.waiters,
      this.filling,
      isHeard,
      () => randomText(12),
    );
    this.singleFlight = new SingleFlight(this.clock, readThrough, isHeard);
    this.stamps = new AnnouncedStamps(
      this.guard,
      () => this.clock.now(),
      (name) => this.coherence.rotated([name]),
    );
    this.feeds = new StampFeeds(options.onStampFailed ?? (() => undefined));
    const namespaces = options.namespaces ?? [];
    if (!namespaces.some((namespace) => namespace.name === DEFAULT_NAMESPACE))
      this.addNamespace({ name: DEFAULT_NAMESPACE });
    for (const namespace of namespaces) this.addNamespace(namespace);
    const { applicationStamp: source } = options;
    if (source) this.follow('version.stamp', DEFAULT_NAMESPACE, APPLICATION_STAMP, source.feed, source.grace);
  }

  /** Begins to connect; never throws, never waits. */
  open(): void {
    this.store.open(this.coherence);
    this.feeds.open();
  }

  /** @param codec in place of the named ones, for rooms of this package @throws CacheUsageError `duplicate_namespace` */
  addNamespace(options: NamespaceOptions, codec?: ValueCodec): CacheService {
    if (this.namespaces.has(options.name)) {
      throw new CacheUsageError(
        'duplicate_namespace',
        `namespace "${options.name}" is registered twice; give one of them another name`,
      );
    }
    const namespace = new Namespace(
      options,
      makeStamp({ ...this.version, schema: options.schemaVersion, own: configuredStamp(options) }),
      this.clock,
      this.newColdError,
      codec,
    );
    const service = new CacheService(this, namespace);
    this.namespaces.set(namespace.name, namespace);
    this.services.set(namespace.name, service);
    const { stamp: feed, stampGrace } = options;
    if (isStampFeed(feed))
      this.follow(`namespace "${options.name}": stamp`, options.name, stampToken(options.name), feed, stampGrace);
    return service;
  }

  /** @throws CacheUsageError `unknown_namespace` */
  namespace(name: string): CacheService {
    const service = this.services.get(name);
    if (service === undefined) {
      throw new CacheUsageError(
        'unknown_namespace',
        `there is no namespace "${name}"; register it with TieredCacheModule.forFeature([{ name: '${name}' }])`,
      );
    }
    return service;
  }

  /**
   * Changes the stamp that `token` stands for, everywhere.
   * @param name the namespace whose counters and `whenDown` apply
   * @throws CacheUsageError `invalid_option`, `invalid_duration`
   * @throws StoreUnavailableError where it is not to wait
   */
  async setStamp(name: string, token: string, stamp: string, options: StampOptions = {}): Promise<void> {
    const space = this.namespaces.get(name) as Namespace;
    const announcement = announcementOf(stamp, options);
    if (this.passThrough) return;
    const isTold = await this.stamps.announce(token, announcement, options.whenDown ?? space.whenDown);
    if (!isTold) space.counters.queued++;
  }

  private follow(
    field: string,
    name: string,
    token: string,
    feed: StampFeed,
    grace: StampOptions['grace'] | undefined,
  ): void {
    // Nobody is there to be told that the store is down.
    const options: StampOptions = { whenDown: 'queue', ...(grace !== undefined && { grace }) };
    this.feeds.follow(field, feed, (stamp) => this.setStamp(name, token, stamp, options));
  }

  /** Memory tier, breaker and work under way; for metrics and tests. */
  inspect(): {
    memory: { entries: number; bytes: number; evictions: number } | undefined;
    isHeard: boolean;
    isStoreDown: boolean;
    /** Flights that callers may join. */
    flights: number;
    /** Flights that have not landed, detached ones included. */
    underway: number;
    waiting: number;
    watched: number;
    /** Invalidations that wait for the store. */
    pending: PendingCounts;
  } {
    let flights = 0;
    for (const namespace of this.namespaces.values()) flights += namespace.flights.size;
    return {
      memory: this.memory && {
        entries: this.memory.entries,
        bytes: this.memory.bytes,
        evictions: this.memory.evictions,
      },
      isHeard: this.coherence.isHeard,
      isStoreDown: this.guard.breaker.isOpen,
      flights,
      underway: this.singleFlight.size,
      waiting: this.waiters.size,
      watched: this.watch.size,
      pending: this.guard.queue.size,
    };
  }

  /** Resolves when what is under way has landed, background refreshes included, and what waits for the store was tried once more. */
  async drain(): Promise<void> {
    await this.singleFlight.drain();
    await this.filling.drain();
    await this.guard.queue.drain();
  }

  /** Ends what is under way; {@link drain} it first. */
  async close(): Promise<void> {
    this.feeds.close();
    if (!this.guard.queue.isEmpty) this.onUnsent(this.guard.queue.size);
    this.singleFlight.abortAll(new StoreUnavailableError(this.store.name, 'load', 'closed'));
    this.guard.close();
    this.coherence.lost();
    await this.store.close();
  }
}

/** Part of the keys, unlike what a feed says. */
function configuredStamp({ name, stamp }: NamespaceOptions): string | undefined {
  if (stamp === undefined || typeof stamp === 'string') return stamp;
  if (isStampFeed(stamp)) return undefined;
  throw new CacheUsageError(
    'invalid_option',
    `namespace "${name}": stamp must be a string or an Observable by now; got a ${typeof stamp}`,
  );
}
