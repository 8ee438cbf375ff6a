import type { NamespaceOptions } from './core/cache.options.js';
import {
  fail,
  fields,
  isAnything,
  isBoolean,
  isCount,
  isDuration,
  isFraction,
  isFunction,
  isHeaderName,
  isLifetime,
  isSpan,
  isText,
  listOf,
  matches,
  oneOf,
  orFalse,
  recordOf,
  resolvable,
  type Check,
} from './option-checks.js';
import { EntityDefinition } from './invalidation/define-entity.js';
import { isPurgeOptions } from './invalidation/purge/purge.options.js';
import { isStampSource } from './stamp-source.js';
import type { TieredCacheOptions } from './tiered-cache.options.js';

/** A lifetime in which Infinity, too, means for ever. */
const isPatience: Check = (value, field) => {
  if (value !== Infinity) isLifetime(value, field);
};

const entryDefaults = {
  ttl: resolvable(isLifetime),
  freshFor: resolvable(isLifetime),
  negativeTtl: isLifetime,
  jitter: isFraction,
  shouldCache: isFunction,
  softTimeout: isPatience,
  hardTimeout: isPatience,
  eagerRefresh: isFraction,
  staleWhileLoading: isBoolean,
  staleIfError: resolvable(isBoolean),
  backOff: isDuration,
  errorTtl: resolvable(isDuration),
  onLoadError: isFunction,
  onCold: oneOf('wait', 'throw', 'load'),
  waitBudget: isDuration,
  lease: isDuration,
  isolation: oneOf('shared', 'copy'),
  codec: oneOf('json', 'bytes'),
  whenDown: oneOf('queue', 'reject'),
};

const isSchemaVersion: Check = (value, field) => {
  if (typeof value !== 'string' && !Number.isFinite(value)) fail(field, 'a string or a number', value);
};

const isNamespace = fields(
  {
    ...entryDefaults,
    name: isText,
    tags: listOf(isText),
    schemaVersion: isSchemaVersion,
    stamp: isStampSource,
    stampGrace: isDuration,
    prefixes: listOf(isAnything),
    requestTier: isBoolean,
    maxConcurrentLoads: isCount,
  },
  ['name'],
);

const isRemote: Check = (value, field) => {
  if (typeof value === 'string') return;
  const store = value as { open?: unknown; acquire?: unknown } | null;
  if (typeof store?.open === 'function' && typeof store.acquire === 'function') return;
  fail(field, 'a URL or a store such as redis({ url })', value);
};

const isLockStore: Check = (value, field) => {
  if (typeof value === 'string') return;
  const store = value as { open?: unknown; acquire?: unknown; inspect?: unknown } | null;
  if ([store?.open, store?.acquire, store?.inspect].every((method) => typeof method === 'function')) return;
  fail(field, 'a URL or a lock store such as redisLocks({ url })', value);
};

const isCountOrNone: Check = (value, field) => {
  if (value !== 0) isCount(value, field);
};

const isPrefix = matches(/^[A-Za-z0-9_.:-]{1,64}$/, '1 to 64 letters, digits or _ . : -');

const isName = orFalse(matches(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'a name, or false'));

const isEntity: Check = (value, field) => {
  if (!(value instanceof EntityDefinition)) fail(field, "an entity made by defineEntity('Name', ...)", value);
};

const areOptions = fields({
  prefix: isPrefix,
  version: fields({ app: resolvable(isText), build: resolvable(isText), stamp: isStampSource, grace: isDuration }),
  defaults: fields(entryDefaults),
  namespaces: listOf(isNamespace),
  lifetimes: recordOf(fields({ ttl: isLifetime, freshFor: isLifetime })),
  memory: orFalse(fields({ maxEntries: isCount, maxBytes: isCount, maxStaleWithoutBus: isDuration })),
  requestTier: isBoolean,
  remote: resolvable(isRemote),
  deadline: isSpan,
  locks: fields({
    store: resolvable(isLockStore),
    prefix: isPrefix,
    lease: isDuration,
    maxHold: isPatience,
    wait: isDuration,
    maxQueue: isCountOrNone,
    deadline: isSpan,
    acceptEviction: isBoolean,
    acceptLossy: isBoolean,
    mapException: isFunction,
  }),
  forceMiss: fields({ header: isName, query: isName, canForceMiss: isFunction }, ['canForceMiss']),
  // The policies are checked when they are compiled.
  responses: fields({
    name: matches(/^[A-Za-z0-9_.-]{1,64}$/, '1 to 64 letters, digits or _ . -'),
    base: isAnything,
    policies: isAnything,
    cacheAll: isBoolean,
    surrogateKeys: isHeaderName,
    answerInGuard: isBoolean,
  }),
  entities: listOf(isEntity),
  purge: isPurgeOptions,
  enabled: resolvable(isBoolean),
});

/**
 * Stops the boot on an option that is unknown or malformed.
 * @throws CacheUsageError `unknown_option`, `invalid_option`, `invalid_duration`: one line with the field, the type found and the mend
 */
export function validateOptions(options: unknown): asserts options is TieredCacheOptions {
  if (typeof options === 'object' && options !== null && 'isGlobal' in options) {
    // Nest needs it before the factory runs.
    fail('isGlobal', 'given beside useFactory, useClass or useExisting, not by their result', options.isGlobal);
  }
  areOptions(options, '');
}

/** As {@link validateOptions}, for what `forFeature()` takes. */
export function validateNamespaces(namespaces: unknown): asserts namespaces is readonly NamespaceOptions[] {
  listOf(isNamespace)(namespaces, 'forFeature');
}

const resolved = {
  remote: isRemote,
  enabled: isBoolean,
  'version.app': isText,
  'version.build': isText,
  'version.stamp': isText,
  'locks.store': isLockStore,
};

/** What a function given for `field` answered, checked like a value given outright. */
export function validateResolved(field: keyof typeof resolved, value: unknown): void {
  if (value !== undefined) resolved[field](value, field);
}
