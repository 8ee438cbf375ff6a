import type { LoadOptions, OnCold } from '../cache.options.js';
import { durationMs, lifetimeMs } from '../clock/duration.js';
import { CacheUsageError } from '../errors/cache.error.js';
import type { Namespace } from '../namespace.js';

const MAX_TAGS = 32;
const NO_OPTIONS: LoadOptions = {};

/** A call's options over its namespace's, read into numbers. */
export interface LoadPlan {
  readonly ttlMs: number;
  readonly freshForMs: number;
  readonly tags: readonly string[];
  readonly onCold: OnCold;
  readonly waitBudgetMs: number;
  readonly leaseMs: number;
}

/** @throws CacheUsageError `invalid_duration`, `invalid_option` */
export function planOf(namespace: Namespace, options: LoadOptions = NO_OPTIONS): LoadPlan {
  const ttlMs = options.ttl === undefined ? namespace.ttlMs : lifetimeMs(options.ttl, 'ttl');
  const freshForMs =
    options.freshFor === undefined ? (namespace.freshForMs ?? ttlMs) : lifetimeMs(options.freshFor, 'freshFor');
  const tags = options.tags ?? [];
  if (!Array.isArray(tags) || tags.length > MAX_TAGS) {
    throw new CacheUsageError(
      'invalid_option',
      `tags must be an array of at most ${MAX_TAGS} strings; got ${Array.isArray(tags) ? tags.length : typeof tags}`,
    );
  }
  const onCold = options.onCold ?? namespace.onCold;
  if (onCold !== 'wait' && onCold !== 'throw' && onCold !== 'load') {
    throw new CacheUsageError('invalid_option', `onCold must be 'wait', 'throw' or 'load'; got a ${typeof onCold}`);
  }
  return {
    ttlMs,
    freshForMs: Math.min(freshForMs, ttlMs),
    tags,
    onCold,
    waitBudgetMs:
      options.waitBudget === undefined ? namespace.waitBudgetMs : durationMs(options.waitBudget, 'waitBudget'),
    leaseMs: options.lease === undefined ? namespace.leaseMs : durationMs(options.lease, 'lease'),
  };
}
