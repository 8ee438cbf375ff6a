import { lifetimeMs } from '../clock/duration.js';
import type { LoadPlan } from './load-plan.js';

/** Lifetimes of an entry, counted from now. */
export interface Lives {
  readonly ttlMs: number;
  readonly freshForMs: number;
}

/** How long a value that is written may live. @throws CacheUsageError `invalid_duration` if a function of the options returns none */
export function livesOf(plan: LoadPlan, value: unknown): Lives {
  const ttlMs = typeof plan.ttl === 'function' ? lifetimeMs(plan.ttl(value), 'ttl()') : plan.ttl;
  const { freshFor = ttlMs } = plan;
  const freshForMs = typeof freshFor === 'function' ? lifetimeMs(freshFor(value), 'freshFor()') : freshFor;
  return jittered({ ttlMs, freshForMs: Math.min(freshForMs, ttlMs) }, plan.jitter);
}

/** As {@link livesOf}, for a value that a loader returned: nothing found may be kept for another time than something. */
export function livesOfLoaded(plan: LoadPlan, value: unknown): Lives {
  const { negativeTtlMs } = plan;
  if (negativeTtlMs === undefined || (value !== null && value !== undefined)) return livesOf(plan, value);
  return jittered({ ttlMs: negativeTtlMs, freshForMs: negativeTtlMs }, plan.jitter);
}

/** Only ever shorter: a lifetime is a promise. */
function jittered(lives: Lives, jitter: number): Lives {
  if (jitter === 0) return lives;
  const share = 1 - jitter * Math.random();
  return { ttlMs: lives.ttlMs * share, freshForMs: lives.freshForMs * share };
}
