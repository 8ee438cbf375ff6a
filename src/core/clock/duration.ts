import { CacheUsageError } from '../errors/cache.error.js';

/** Milliseconds as a number, or a string with a unit: `'250ms' | '10s' | '5m' | '2h' | '1d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

/** A lifetime: a duration, `0` (store nothing) or `'forever'`. */
export type Lifetime = Duration | 'forever';

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const PATTERN = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/**
 * Reads a duration into milliseconds.
 * @throws CacheUsageError `invalid_duration`, naming `field`
 * @example durationMs('5m', 'ttl') // 300000
 */
export function durationMs(value: Duration, field: string): number {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  const match = typeof value === 'string' ? PATTERN.exec(value) : null;
  if (match) return Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
  throw new CacheUsageError(
    'invalid_duration',
    `${field} must be milliseconds >= 0 or a string such as '250ms', '10s', '5m', '2h', '1d'; got ${describe(value)}`,
  );
}

/** As {@link durationMs}, with `'forever'` read as `Infinity`. */
export function lifetimeMs(value: Lifetime, field: string): number {
  return value === 'forever' ? Infinity : durationMs(value, field);
}

function describe(value: unknown): string {
  return typeof value === 'number' ? `the number ${value}` : typeof value;
}
