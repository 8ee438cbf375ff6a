import { Logger } from '@nestjs/common';
import { systemClock, type Clock } from './core/clock/clock.js';
import type { StoreNews } from './core/outage/store-guard.js';

/** Of one kind. A store that comes and goes must not fill the log. */
const PAUSE_MS = 60_000;

/** Tells the log how the store is doing: callers notice nothing but that they wait, or that nothing is shared. */
export class StoreReports implements StoreNews {
  private readonly logger = new Logger('TieredCache');
  private readonly last = new Map<'down' | 'refused', number>();
  private downSince: number | undefined;

  constructor(
    private readonly store: string,
    private readonly clock: Clock = systemClock,
  ) {}

  down(reason: string): void {
    if (!this.isDue('down')) return;
    this.downSince = this.clock.now();
    this.logger.warn(
      `the ${this.store} store does not answer (${reason}): until it does, nothing is shared, and invalidations wait for it`,
    );
  }

  back(): void {
    if (this.downSince === undefined) return;
    this.logger.log(`the ${this.store} store answers again, after ${Math.round(this.clock.now() - this.downSince)} ms`);
    this.downSince = undefined;
  }

  refused(operation: string): void {
    if (this.isDue('refused'))
      this.logger.warn(
        `the ${this.store} store has refused "${operation}": is it full, read-only, or is its user not allowed to? What it refuses is not shared`,
      );
  }

  private isDue(kind: 'down' | 'refused'): boolean {
    const now = this.clock.now();
    if (now - (this.last.get(kind) ?? -Infinity) < PAUSE_MS) return false;
    this.last.set(kind, now);
    return true;
  }
}
