/** Of responses without a `ttl`. */
export const DEFAULT_TTL_MS = 30 * 60_000;

/** As options take it. */
export function lifetimeOf(ms: number): number | 'forever' {
  return ms === Infinity ? 'forever' : ms;
}
