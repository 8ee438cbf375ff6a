import type { CallOptions, EntryOptions, FailedLoad, LoadOptions, OnCold } from '../cache.options.js';
import type { Duration, Lifetime } from '../clock/duration.js';
import { durationMs, lifetimeMs } from '../clock/duration.js';
import { CacheUsageError } from '../errors/cache.error.js';
import type { Namespace } from '../namespace.js';

const MAX_TAGS = 32;

/** The options of one call, those of its namespace and of the module, read into numbers and functions. */
export interface LoadPlan {
  readonly ttl: number | ((value: unknown) => Lifetime);
  /** `undefined`: as long as `ttl`. */
  readonly freshFor: number | ((value: unknown) => Lifetime) | undefined;
  readonly negativeTtlMs: number | undefined;
  readonly jitter: number;
  readonly tags: readonly string[];
  readonly tagsOf: ((value: unknown) => readonly string[]) | undefined;
  readonly shouldCache: ((value: unknown) => boolean) | undefined;
  readonly softTimeoutMs: number;
  readonly hardTimeoutMs: number;
  /** Fraction of an entry's fresh life; 1: never early. */
  readonly eagerRefresh: number;
  readonly staleWhileLoading: boolean;
  readonly staleIfError: (error: unknown) => boolean;
  readonly backOffMs: number;
  readonly errorTtl: (error: unknown) => Duration;
  readonly onLoadError: ((error: unknown, load: FailedLoad) => void) | undefined;
  readonly onCold: OnCold;
  readonly waitBudgetMs: number;
  readonly leaseMs: number;
}

/** What holds where nobody says otherwise. */
const BASE: LoadPlan = {
  ttl: 30 * 60_000,
  freshFor: undefined,
  negativeTtlMs: undefined,
  jitter: 0,
  tags: [],
  tagsOf: undefined,
  shouldCache: undefined,
  softTimeoutMs: Infinity,
  hardTimeoutMs: Infinity,
  eagerRefresh: 1,
  staleWhileLoading: true,
  staleIfError: () => true,
  backOffMs: 5000,
  errorTtl: () => 0,
  onLoadError: undefined,
  onCold: 'wait',
  waitBudgetMs: 10_000,
  leaseMs: 5000,
};

/** The plan of a call. @throws CacheUsageError `invalid_duration`, `invalid_option` */
export function planOf(namespace: Namespace, options?: LoadOptions | EntryOptions): LoadPlan {
  if (options === undefined) return namespace.plan;
  return options instanceof PlannedOptions ? options.plan : makePlan(options, namespace.plan);
}

/** Options of calls that are still to come, read once. */
export class PlannedOptions implements CallOptions {
  declare readonly eagerRefresh?: number;
  declare readonly signal?: AbortSignal;

  constructor(
    readonly plan: LoadPlan,
    readonly forceFresh = false,
    signal?: AbortSignal,
  ) {
    if (plan.eagerRefresh !== 1) this.eagerRefresh = plan.eagerRefresh;
    if (signal !== undefined) this.signal = signal;
  }
}

/**
 * `options` over `base`.
 * @param where put in front of a field's name in messages
 * @throws CacheUsageError `invalid_duration`, `invalid_option`
 */
export function makePlan(options: LoadOptions, base: LoadPlan = BASE, where = ''): LoadPlan {
  const plan: { -readonly [K in keyof LoadPlan]: LoadPlan[K] } = { ...base };
  const { ttl, freshFor, tags, staleIfError, errorTtl } = options;
  if (ttl !== undefined) plan.ttl = typeof ttl === 'function' ? ttl : lifetimeMs(ttl, `${where}ttl`);
  if (freshFor !== undefined)
    plan.freshFor = typeof freshFor === 'function' ? freshFor : lifetimeMs(freshFor, `${where}freshFor`);
  if (options.negativeTtl !== undefined) plan.negativeTtlMs = lifetimeMs(options.negativeTtl, `${where}negativeTtl`);
  if (options.jitter !== undefined) plan.jitter = fraction(options.jitter, `${where}jitter`);
  if (typeof tags === 'function') plan.tagsOf = tags;
  else if (tags !== undefined) plan.tags = checkTags(tags, `${where}tags`);
  if (options.shouldCache !== undefined)
    plan.shouldCache = ofType('function', options.shouldCache, `${where}shouldCache`);
  if (options.softTimeout !== undefined) plan.softTimeoutMs = patience(options.softTimeout, `${where}softTimeout`);
  if (options.hardTimeout !== undefined)
    plan.hardTimeoutMs = span(patience(options.hardTimeout, `${where}hardTimeout`), `${where}hardTimeout`);
  if (options.eagerRefresh !== undefined) plan.eagerRefresh = fraction(options.eagerRefresh, `${where}eagerRefresh`);
  if (options.staleWhileLoading !== undefined)
    plan.staleWhileLoading = ofType('boolean', options.staleWhileLoading, `${where}staleWhileLoading`);
  if (staleIfError !== undefined)
    plan.staleIfError =
      typeof staleIfError === 'function'
        ? staleIfError
        : always(ofType('boolean', staleIfError, `${where}staleIfError`));
  if (options.backOff !== undefined) plan.backOffMs = durationMs(options.backOff, `${where}backOff`);
  if (errorTtl !== undefined)
    plan.errorTtl = typeof errorTtl === 'function' ? errorTtl : always(durationMs(errorTtl, `${where}errorTtl`));
  if (options.onLoadError !== undefined)
    plan.onLoadError = ofType('function', options.onLoadError, `${where}onLoadError`);
  if (options.onCold !== undefined) plan.onCold = coldPolicy(options.onCold, `${where}onCold`);
  if (options.waitBudget !== undefined) plan.waitBudgetMs = durationMs(options.waitBudget, `${where}waitBudget`);
  if (options.lease !== undefined) plan.leaseMs = span(durationMs(options.lease, `${where}lease`), `${where}lease`);
  return plan;
}

/** @throws CacheUsageError `invalid_option` */
export function checkTags(tags: unknown, field: string): readonly string[] {
  if (Array.isArray(tags) && tags.length <= MAX_TAGS) return tags as string[];
  const found = Array.isArray(tags) ? String(tags.length) : typeof tags;
  throw new CacheUsageError('invalid_option', `${field} must be an array of at most ${MAX_TAGS} strings; got ${found}`);
}

function always<T>(value: T): () => T {
  return () => value;
}

/** A lifetime in which Infinity, too, means for ever. */
function patience(value: Lifetime, field: string): number {
  return value === Infinity ? Infinity : lifetimeMs(value, field);
}

/** With no time at all, nothing would ever be loaded, or stored. */
function span(ms: number, field: string): number {
  if (ms > 0) return ms;
  throw new CacheUsageError('invalid_option', `${field} must be longer than 0`);
}

function fraction(value: number, field: string): number {
  if (typeof value === 'number' && value >= 0 && value <= 1) return value;
  throw new CacheUsageError('invalid_option', `${field} must be a number from 0 to 1; got ${nameOf(value)}`);
}

function coldPolicy(value: OnCold, field: string): OnCold {
  if (value === 'wait' || value === 'throw' || value === 'load') return value;
  throw new CacheUsageError('invalid_option', `${field} must be 'wait', 'throw' or 'load'; got a ${typeof value}`);
}

function ofType<T>(type: 'function' | 'boolean', value: T, field: string): T {
  if (typeof value === type) return value;
  throw new CacheUsageError('invalid_option', `${field} must be a ${type}; got a ${typeof value}`);
}

function nameOf(value: unknown): string {
  return typeof value === 'number' ? `the number ${value}` : `a ${typeof value}`;
}
