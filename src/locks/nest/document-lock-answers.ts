import { documentAnswers } from '../../documented-answers.js';
import { isRoute, lockedHandlers } from './locked-handlers.js';

const HEADERS = { 'Retry-After': { description: 'Seconds', schema: { type: 'integer', minimum: 1 } } };

/** Adds the answers of locks to the documented ones of each locked route. */
export function documentLockAnswers(...where: Parameters<typeof lockedHandlers>): void {
  for (const { type, handler, plan } of lockedHandlers(...where)) {
    if (!isRoute(handler)) continue;
    documentAnswers(type, handler, {
      400: answer('A part of what is to be locked is missing', 'invalid_lock_key'),
      [plan.status]: answer('The resource is in use by another request', 'resource_locked', HEADERS),
      503: answer('Locks are not available', 'lock_store_unavailable', HEADERS),
    });
  }
}

function answer(description: string, code: string, headers?: object): object {
  const properties = {
    statusCode: { type: 'integer' },
    error: { type: 'string' },
    code: { type: 'string', enum: [code] },
    message: { type: 'string' },
    ...(headers && { retryAfterMs: { type: 'integer' } }),
  };
  return {
    description,
    ...(headers && { headers }),
    schema: { type: 'object', required: ['statusCode', 'code', 'message'], properties },
  };
}
