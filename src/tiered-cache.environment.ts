import { closestName } from './closest-name.js';
import { lifetimeMs, type Lifetime } from './core/clock/duration.js';
import { CacheUsageError } from './core/errors/cache.error.js';
import { lockKind, remoteKind } from './remote-url.js';
import type { LifetimeOptions, MemoryOptions, TieredCacheOptions } from './tiered-cache.options.js';

const NAMES = [
  'CACHE_URL',
  'CACHE_LOCK_URL',
  'CACHE_KEY_PREFIX',
  'CACHE_KEY_VERSION_STAMP',
  'CACHE_BUILD_ID',
  'CACHE_DEFAULT_TTL',
  'CACHE_MEMORY_MAX_ENTRIES',
  'CACHE_MEMORY_MAX_BYTES',
  'CACHE_ENABLED',
] as const;
/** To ignore these would promise something that does not happen. */
const LATER: Readonly<Record<string, string>> = {
  CACHE_SECRETS: 'signing and sealing of entries',
};
const PER_NAMESPACE = /^CACHE_(TTL|FRESH_FOR)_([A-Z0-9_]+)$/;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Options from `CACHE_*` variables, all optional; an empty one counts as unset.
 *
 * | variable | sets | default |
 * |---|---|---|
 * | `CACHE_URL` | `remote`: `memory://`, `redis://`, `rediss://`, `none` | `memory://` |
 * | `CACHE_LOCK_URL` | `locks.store`: `memory://`, `redis://`, `rediss://`, `memcached://`, `memcacheds://` | the server of `CACHE_URL` |
 * | `CACHE_KEY_PREFIX` | `prefix` | the store's |
 * | `CACHE_KEY_VERSION_STAMP`, `CACHE_BUILD_ID` | `version.stamp`, `version.build` | none |
 * | `CACHE_DEFAULT_TTL` | `defaults.ttl` | `30m` |
 * | `CACHE_MEMORY_MAX_ENTRIES`, `CACHE_MEMORY_MAX_BYTES` | `memory` | 10,000; 64 MiB |
 * | `CACHE_ENABLED` | `enabled`: `true`, `false`, `1`, `0` | `true` |
 * | `CACHE_TTL_<NAME>`, `CACHE_FRESH_FOR_<NAME>` | `lifetimes` of the namespace, e.g. `CACHE_TTL_CONTENT_METADATA=13m` | code's |
 *
 * @throws CacheUsageError `unknown_setting`, `invalid_setting`, `invalid_duration`: names the variable, never its value
 */
export function optionsFromEnvironment(environment: Environment = process.env): TieredCacheOptions {
  const read = (name: (typeof NAMES)[number]): string | undefined => environment[name]?.trim() || undefined;
  const lifetimes = lifetimesIn(environment);
  const options: TieredCacheOptions = {};

  const url = read('CACHE_URL');
  if (url !== undefined && remoteKind(url, 'CACHE_URL')) options.remote = url;

  const lockUrl = read('CACHE_LOCK_URL');
  if (lockUrl !== undefined && lockKind(lockUrl, 'CACHE_LOCK_URL')) options.locks = { store: lockUrl };

  const prefix = read('CACHE_KEY_PREFIX');
  if (prefix !== undefined) options.prefix = prefix;

  const stamp = read('CACHE_KEY_VERSION_STAMP');
  const build = read('CACHE_BUILD_ID');
  if (stamp !== undefined || build !== undefined)
    options.version = { ...(stamp && { stamp }), ...(build && { build }) };

  const ttl = read('CACHE_DEFAULT_TTL');
  if (ttl !== undefined) options.defaults = { ttl: lifetime(ttl, 'CACHE_DEFAULT_TTL') };

  const memory: MemoryOptions = {};
  const maxEntries = read('CACHE_MEMORY_MAX_ENTRIES');
  if (maxEntries !== undefined) memory.maxEntries = count(maxEntries, 'CACHE_MEMORY_MAX_ENTRIES');
  const maxBytes = read('CACHE_MEMORY_MAX_BYTES');
  if (maxBytes !== undefined) memory.maxBytes = count(maxBytes, 'CACHE_MEMORY_MAX_BYTES');
  if (Object.keys(memory).length > 0) options.memory = memory;

  const enabled = read('CACHE_ENABLED');
  if (enabled !== undefined) options.enabled = flag(enabled, 'CACHE_ENABLED');

  if (Object.keys(lifetimes).length > 0) options.lifetimes = lifetimes;
  return options;
}

function lifetimesIn(environment: Environment): Record<string, LifetimeOptions> {
  const lifetimes: Record<string, LifetimeOptions> = {};
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith('CACHE_') || !text?.trim() || (NAMES as readonly string[]).includes(name)) continue;
    const [, kind, namespace] = PER_NAMESPACE.exec(name) ?? [];
    if (namespace === undefined) throw unknownSetting(name);
    const of = (lifetimes[namespace] ??= {});
    of[kind === 'TTL' ? 'ttl' : 'freshFor'] = lifetime(text.trim(), name);
  }
  return lifetimes;
}

function unknownSetting(name: string): CacheUsageError {
  const later = LATER[name];
  if (later !== undefined)
    return new CacheUsageError('unknown_setting', `${name}: this version has no ${later} yet; unset the variable`);
  const closest = closestName(name, NAMES) ?? perNamespace(name);
  const mend =
    closest === undefined
      ? `known are ${NAMES.join(', ')}, CACHE_TTL_<NAME>, CACHE_FRESH_FOR_<NAME>`
      : `did you mean ${closest}?`;
  return new CacheUsageError('unknown_setting', `unknown variable ${name}: ${mend}`);
}

/** The per-namespace variable that a name most likely means. */
function perNamespace(name: string): string | undefined {
  const [, head = '', rest] = /^CACHE_(F[A-Z]+_FOR|[A-Z]+)_(.+)$/.exec(name) ?? [];
  const kind = closestName(head, ['TTL', 'FRESH_FOR']);
  return kind && rest && `CACHE_${kind}_${rest}`;
}

function lifetime(text: string, name: string): Lifetime {
  const value = (/^\d+$/.test(text) ? Number(text) : text) as Lifetime;
  lifetimeMs(value, name);
  return value;
}

function count(text: string, name: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text))
    throw new CacheUsageError('invalid_setting', `${name} must be a whole number of at least 1`);
  return Number(text);
}

function flag(text: string, name: string): boolean {
  const value = { true: true, '1': true, false: false, '0': false }[text.toLowerCase()];
  if (value === undefined) throw new CacheUsageError('invalid_setting', `${name} must be true, false, 1 or 0`);
  return value;
}
