import { Logger } from '@nestjs/common';
import { counted } from '../core/errors/counted.js';
import type { EntityChange } from './entity-change.js';
import type { EntityInvalidationService } from './entity-invalidation.service.js';

const logger = new Logger('EntityInvalidation');

/**
 * For adapters, whose changes are saved already, whatever becomes of the cache: a failure is logged, with what and how many, and does not
 * reach the caller.
 * @returns whether all were invalidated, or wait in this process for the store
 */
export async function applySaved(
  entities: EntityInvalidationService,
  changes: readonly EntityChange[],
): Promise<boolean> {
  try {
    await entities.apply(changes);
    return true;
  } catch (error) {
    const names = [...new Set(changes.map(({ entity }) => entity))].join(', ');
    const reason = error instanceof Error ? error.message : typeof error;
    logger.warn(`${counted(changes.length, 'committed change')} of ${names} could not be invalidated: ${reason}`);
    return false;
  }
}
