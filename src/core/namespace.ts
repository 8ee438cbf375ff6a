import type { CacheKey, Isolation, NamespaceOptions, WhenDown } from './cache.options.js';
import type { Clock } from './clock/clock.js';
import { bytesCodec } from './codec/bytes.codec.js';
import { jsonCodec } from './codec/json.codec.js';
import type { ValueCodec } from './codec/value.codec.js';
import { CacheUsageError } from './errors/cache.error.js';
import { checkTags, makePlan, type LoadPlan } from './freshness/load-plan.js';
import { encodeKey } from './keys/key-encoding.js';
import { shorten, storePrefix } from './keys/store-key.js';
import { Failures } from './flights/failures.js';
import { FlightTable } from './flights/flight-table.js';
import { LoadSlots } from './flights/load-slots.js';
import { SlotIndex } from './tiers/slot.index.js';
import { namespaceToken, tokenOfTag } from './tokens/token-parts.js';

const NAME = /^[A-Za-z][A-Za-z0-9._-]{0,47}$/;
const MAX_PREFIXES = 16;
/** Share of the last load in {@link Namespace.usualLoadMs}. */
const RECENT = 0.2;

/** Counters since the start; plain numbers, so that counting costs nothing. */
export interface CacheCounters {
  requestHits: number;
  memoryHits: number;
  remoteHits: number;
  staleHits: number;
  misses: number;
  /** Loaders run. */
  loads: number;
  loadErrors: number;
  /** Callers that shared another caller's flight. */
  coalesced: number;
  /** Results that were not stored because the key was invalidated, or the lease lost, while they were loaded. */
  fenced: number;
  /** Frames that were not sound: foreign, truncated, another version, another key. */
  rejected: number;
  /** Calls that went on without the store. */
  storeFailures: number;
  /** Invalidations that the store did not acknowledge at once, and which were queued. */
  queued: number;
}

/** One named cache: its defaults, its place in the key space, its index into the memory tier. */
export class Namespace {
  readonly name: string;
  /** Of a call that says nothing. */
  readonly plan: LoadPlan;
  readonly tags: readonly string[];
  /** `undefined`: any number of loaders may run at a time. */
  readonly slots: LoadSlots | undefined;
  readonly failures: Failures;
  readonly isolation: Isolation;
  readonly whenDown: WhenDown;
  /** A request remembers what it has read of it. */
  readonly isRecalled: boolean;
  readonly codec: ValueCodec;
  /** Declared prefixes: encoded form and token name. */
  readonly prefixes: ReadonlyArray<{ readonly encoded: string; readonly token: string }>;
  /** The name under which the store keeps this namespace's token. */
  readonly token: string;
  readonly index = new SlotIndex();
  readonly flights = new FlightTable();
  /** What its keys in the store begin with. */
  readonly storePrefix: string;
  /** How long its loaders have taken lately; 0 while there is no knowing. */
  usualLoadMs = 0;
  readonly counters: CacheCounters = {
    requestHits: 0,
    memoryHits: 0,
    remoteHits: 0,
    staleHits: 0,
    misses: 0,
    loads: 0,
    loadErrors: 0,
    coalesced: 0,
    fenced: 0,
    rejected: 0,
    storeFailures: 0,
    queued: 0,
  };

  /** @throws CacheUsageError `invalid_option`, `invalid_duration` */
  constructor(
    options: NamespaceOptions,
    /** Part of every key in the store: entries stored under another one do not exist here. */
    readonly stamp: string,
    clock: Clock,
    /** What a caller of a cold key is thrown. */
    readonly newColdError: (key: string, retryAfterMs: number) => Error,
    codec?: ValueCodec,
  ) {
    const { name } = options;
    if (typeof name !== 'string' || !NAME.test(name)) {
      throw new CacheUsageError(
        'invalid_option',
        `namespace.name must be a letter followed by at most 47 letters, digits or . _ -; got ${typeof name === 'string' ? JSON.stringify(name) : typeof name}`,
      );
    }
    this.name = name;
    this.storePrefix = storePrefix(stamp, name);
    const where = `namespace "${name}": `;
    this.plan = makePlan({ ...options, tags: [] }, undefined, where);
    this.tags = checkTags(options.tags ?? [], `${where}tags`);
    for (const tag of this.tags)
      if (!isTag(tag))
        throw new CacheUsageError(
          'invalid_option',
          `${where}tags: a tag must be a non-empty string; got ${found(tag)}`,
        );
    const { maxConcurrentLoads } = options;
    if (maxConcurrentLoads !== undefined && !(Number.isSafeInteger(maxConcurrentLoads) && maxConcurrentLoads > 0)) {
      throw new CacheUsageError(
        'invalid_option',
        `${where}maxConcurrentLoads must be a whole number of at least 1; got a ${typeof maxConcurrentLoads}`,
      );
    }
    this.slots = maxConcurrentLoads === undefined ? undefined : new LoadSlots(clock, maxConcurrentLoads);
    this.failures = new Failures(clock);
    this.isolation = options.isolation ?? 'shared';
    this.whenDown = options.whenDown ?? 'queue';
    this.isRecalled = options.requestTier ?? true;
    this.codec = codec ?? (options.codec === 'bytes' ? bytesCodec : jsonCodec);
    this.token = namespaceToken(name);
    const { prefixes = [] } = options;
    if (prefixes.length > MAX_PREFIXES)
      throw new CacheUsageError(
        'invalid_option',
        `${where}prefixes must be at most ${MAX_PREFIXES}; got ${prefixes.length}`,
      );
    this.prefixes = prefixes.map((prefix) => this.declare(prefix));
  }

  /** The names of all tokens an entry of this key carries: namespace, tags, declared prefixes. */
  tokenNames(encodedKey: string, tags: readonly string[]): string[] {
    const names = [this.token];
    for (const tag of this.tags) names.push(tagToken(tag));
    for (const tag of tags) {
      const name = tagToken(tag);
      if (!names.includes(name)) names.push(name);
    }
    for (const prefix of this.prefixes) if (covers(prefix.encoded, encodedKey)) names.push(prefix.token);
    return names;
  }

  tookToLoad(ms: number): void {
    this.usualLoadMs = this.usualLoadMs === 0 ? ms : this.usualLoadMs + RECENT * (ms - this.usualLoadMs);
  }

  private declare(prefix: CacheKey): { encoded: string; token: string } {
    const encoded = encodeKey(prefix);
    return { encoded, token: `pre:${this.name}:${shorten(encoded)}` };
  }
}

/** The store's name for a tag's token. @throws CacheUsageError `invalid_tag` */
export function tagToken(tag: string): string {
  if (!isTag(tag)) throw new CacheUsageError('invalid_tag', `a tag must be a non-empty string; got ${found(tag)}`);
  return tokenOfTag(shorten(encodeKey(tag)));
}

function isTag(tag: unknown): boolean {
  return typeof tag === 'string' && tag !== '';
}

function found(tag: unknown): string {
  return tag === '' ? 'an empty one' : `a ${typeof tag}`;
}

/** An array prefix covers whole parts only: ['user'] does not cover ['users', 1]. */
export function covers(prefix: string, key: string): boolean {
  if (!key.startsWith(prefix)) return false;
  return prefix[0] !== '/' || key.length === prefix.length || key[prefix.length] === '/';
}
