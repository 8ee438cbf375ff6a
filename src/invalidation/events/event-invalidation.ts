import { Logger } from '@nestjs/common';
import type { EntityChange } from '../entity-change.js';
import { DeclaredInvalidation } from '../methods/declared-invalidation.js';
import type { DeclaredInvalidations } from '../methods/declared-invalidations.js';

/** What an event says has changed; `[]` for nothing. */
export type ChangesOf<E> = (event: E) => EntityChange | readonly EntityChange[];

const logger = new Logger('EventInvalidation');

/** What one kind of event invalidates. Who publishes it never hears of an error: it is logged. */
export class EventInvalidation {
  private readonly declared: DeclaredInvalidation;

  constructor(
    name: string,
    changes: ChangesOf<never>,
    private readonly invalidations: DeclaredInvalidations,
  ) {
    const entities = (_none: unknown, [event]: unknown[]): ReturnType<ChangesOf<never>> => changes(event as never);
    this.declared = new DeclaredInvalidation(`event ${name}`, { entities });
  }

  /** Resolves when the store has acknowledged it, or it was logged that it has not. */
  async heard(event: unknown): Promise<void> {
    try {
      await this.invalidations.run(this.declared, undefined, undefined, [event]);
    } catch (error) {
      logger.error((error as Error).message, ((error as Error).cause as Error | undefined)?.stack);
    }
  }
}
