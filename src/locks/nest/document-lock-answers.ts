import 'reflect-metadata';
import { HttpStatus, RequestMethod } from '@nestjs/common';
import { HTTP_CODE_METADATA, METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { lockedHandlers, type Handler } from './locked-handlers.js';

/** Where @nestjs/swagger keeps what its `@ApiResponse()` says, which is written without having it. */
const API_RESPONSE = 'swagger/apiResponse';

const HEADERS = { 'Retry-After': { description: 'Seconds', schema: { type: 'integer', minimum: 1 } } };

/**
 * Adds the answers of locks to the documented ones of each locked route; what the application says of the same status wins. A method with
 * documented answers loses its default one and those of its class, so that these are written down, too.
 */
export function documentLockAnswers(...where: Parameters<typeof lockedHandlers>): void {
  for (const { type, handler, plan } of lockedHandlers(...where)) {
    if (!Reflect.hasMetadata(PATH_METADATA, handler)) continue;
    const own = responsesOf(handler);
    const success = own ?? { [successOf(handler)]: { description: '' } };
    const ours = {
      400: answer('A part of what is to be locked is missing', 'invalid_lock_key'),
      [plan.status]: answer('The resource is in use by another request', 'resource_locked', HEADERS),
      503: answer('Locks are not available', 'lock_store_unavailable', HEADERS),
    };
    Reflect.defineMetadata(API_RESPONSE, { ...ours, ...responsesOf(type), ...success }, handler);
  }
}

function responsesOf(target: object): object | undefined {
  return Reflect.getMetadata(API_RESPONSE, target) as object | undefined;
}

function successOf(handler: Handler): number {
  const status = Reflect.getMetadata(HTTP_CODE_METADATA, handler) as number | undefined;
  const isPost = Reflect.getMetadata(METHOD_METADATA, handler) === RequestMethod.POST;
  return status ?? (isPost ? HttpStatus.CREATED : HttpStatus.OK);
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
