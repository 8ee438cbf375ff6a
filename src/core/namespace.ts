import type { CacheKey, Isolation, NamespaceOptions, OnCold } from './cache.options.js';
import { durationMs, lifetimeMs } from './clock/duration.js';
import { bytesCodec } from './codec/bytes.codec.js';
import { jsonCodec } from './codec/json.codec.js';
import type { ValueCodec } from './codec/value.codec.js';
import { CacheUsageError } from './errors/cache.error.js';
import { encodeKey } from './keys/key-encoding.js';
import { shorten } from './keys/store-key.js';
import type { Flight } from './flights/flight.js';
import type { SlotIndex } from './tiers/s3-fifo.slab.js';

const NAME = /^[A-Za-z][A-Za-z0-9._-]{0,47}$/;
const DEFAULT_TTL_MS = 30 * 60_000;

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
}

/** One named cache: its defaults, its place in the key space, its index into the memory tier. */
export class Namespace {
  readonly name: string;
  readonly ttlMs: number;
  readonly freshForMs: number | undefined;
  readonly tags: readonly string[];
  readonly onCold: OnCold;
  readonly waitBudgetMs: number;
  readonly leaseMs: number;
  readonly isolation: Isolation;
  readonly codec: ValueCodec;
  readonly schemaVersion: string | number;
  /** Declared prefixes: encoded form and token name. */
  readonly prefixes: ReadonlyArray<{ readonly encoded: string; readonly token: string }>;
  /** The name under which the store keeps this namespace's token. */
  readonly token: string;
  readonly index: SlotIndex = new Map();
  readonly flights = new Map<string, Flight>();
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
  };

  /** @throws CacheUsageError `invalid_option`, `invalid_duration` */
  constructor(
    options: NamespaceOptions,
    public stamp: string,
  ) {
    const { name } = options;
    if (typeof name !== 'string' || !NAME.test(name)) {
      throw new CacheUsageError(
        'invalid_option',
        `namespace.name must be a letter followed by at most 47 letters, digits or . _ -; got ${typeof name === 'string' ? JSON.stringify(name) : typeof name}`,
      );
    }
    this.name = name;
    this.ttlMs = lifetimeMs(options.ttl ?? DEFAULT_TTL_MS, `namespace "${name}": ttl`);
    this.freshForMs =
      options.freshFor === undefined ? undefined : lifetimeMs(options.freshFor, `namespace "${name}": freshFor`);
    this.tags = options.tags ?? [];
    this.onCold = options.onCold ?? 'wait';
    this.waitBudgetMs = durationMs(options.waitBudget ?? 10_000, `namespace "${name}": waitBudget`);
    this.leaseMs = durationMs(options.lease ?? 5000, `namespace "${name}": lease`);
    this.isolation = options.isolation ?? 'shared';
    this.codec = options.codec === 'bytes' ? bytesCodec : jsonCodec;
    this.schemaVersion = options.schemaVersion ?? 1;
    this.token = `ns:${name}`;
    this.prefixes = (options.prefixes ?? []).map((prefix) => this.declare(prefix));
  }

  /** The names of all tokens an entry of this key carries: namespace, tags, declared prefixes. */
  tokenNames(encodedKey: string, tags: readonly string[]): string[] {
    const names = [this.token];
    for (const tag of this.tags) names.push(tagToken(tag));
    for (const tag of tags) if (!this.tags.includes(tag)) names.push(tagToken(tag));
    for (const prefix of this.prefixes) if (covers(prefix.encoded, encodedKey)) names.push(prefix.token);
    return names;
  }

  private declare(prefix: CacheKey): { encoded: string; token: string } {
    const encoded = encodeKey(prefix);
    return { encoded, token: `pre:${this.name}:${shorten(encoded)}` };
  }
}

/** The store's name for a tag's token. @throws CacheUsageError `invalid_tag` */
export function tagToken(tag: string): string {
  if (typeof tag !== 'string' || tag === '') {
    throw new CacheUsageError(
      'invalid_tag',
      `a tag must be a non-empty string; got ${tag === '' ? 'an empty one' : `a ${typeof tag}`}`,
    );
  }
  return `tag:${shorten(encodeKey(tag))}`;
}

// An array prefix covers whole parts only: ['user'] does not cover ['users', 1].
function covers(prefix: string, key: string): boolean {
  if (!key.startsWith(prefix)) return false;
  return prefix[0] !== '/' || key.length === prefix.length || key[prefix.length] === '/';
}
