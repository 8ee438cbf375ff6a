import { TieredCacheError } from '../core/errors/cache.error.js';

/** The handler answered with an error, and there is something better to send. */
export class OriginError extends TieredCacheError {
  constructor(readonly status: number) {
    super('origin_error', `the handler answered ${status}`);
  }
}
