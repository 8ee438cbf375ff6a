import type { Found } from '../tiers/found.js';
import type { LoadPlan } from './load-plan.js';

/** Whether a fresh entry is so old that it is refreshed before it gets stale. One held over from a failed refresh is left to its back-off. */
export function isDue(plan: LoadPlan, found: Found, now: number): boolean {
  if (plan.eagerRefresh === 1 || found.isHeldOver || found.freshUntil === Infinity) return false;
  return now >= found.createdAt + plan.eagerRefresh * (found.freshUntil - found.createdAt);
}
