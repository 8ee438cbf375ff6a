import type { Clock } from '../clock/clock.js';
import { durationMs } from '../clock/duration.js';
import type { LoadPlan } from '../freshness/load-plan.js';

/** More are not remembered; the oldest go first. */
const MAX_FAILURES = 1000;

/** Loads that failed a short while ago with nothing to serve instead: not tried again by this process until then. */
export class Failures {
  private readonly byKey = new Map<string, { readonly error: unknown; readonly until: number }>();

  constructor(private readonly clock: Clock) {}

  remember(key: string, error: unknown, plan: LoadPlan): void {
    const ms = durationMs(plan.errorTtl(error), 'errorTtl()');
    if (ms <= 0) return;
    this.byKey.delete(key);
    if (this.byKey.size >= MAX_FAILURES) this.byKey.delete(this.byKey.keys().next().value as string);
    this.byKey.set(key, { error, until: this.clock.now() + ms });
  }

  find(key: string): { readonly error: unknown } | undefined {
    if (this.byKey.size === 0) return undefined;
    const failure = this.byKey.get(key);
    if (failure && this.clock.now() >= failure.until) this.byKey.delete(key);
    return failure && this.byKey.get(key);
  }

  forget(key: string): void {
    if (this.byKey.size > 0) this.byKey.delete(key);
  }

  clear(): void {
    this.byKey.clear();
  }
}
