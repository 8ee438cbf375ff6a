import 'reflect-metadata';
import { HttpStatus, RequestMethod } from '@nestjs/common';
import { HTTP_CODE_METADATA, METHOD_METADATA } from '@nestjs/common/constants.js';

/** Where @nestjs/swagger keeps what its `@ApiResponse()` says, which is written without having it. */
const API_RESPONSE = 'swagger/apiResponse';

interface Answer {
  readonly description?: string;
  readonly headers?: object;
  readonly schema?: object;
}
type Answers = Readonly<Record<string, Answer>>;

/**
 * Adds answers to the documented ones of a route, and headers to that of its success; what the application says of the same wins. A method
 * with documented answers loses its default one and those of its class, so that these are written down, too.
 */
export function documentAnswers(type: object, handler: object, ours: Answers, headersOfSuccess?: object): void {
  const status = successOf(handler);
  const said: Answers = { ...answersOf(type), ...(answersOf(handler) ?? { [status]: { description: '' } }) };
  const success = said[status];
  const marked = success &&
    headersOfSuccess && { [status]: { ...success, headers: { ...headersOfSuccess, ...success.headers } } };
  Reflect.defineMetadata(API_RESPONSE, { ...ours, ...said, ...marked }, handler);
}

function answersOf(target: object): Answers | undefined {
  return Reflect.getMetadata(API_RESPONSE, target) as Answers | undefined;
}

function successOf(handler: object): number {
  const status = Reflect.getMetadata(HTTP_CODE_METADATA, handler) as number | undefined;
  const isPost = Reflect.getMetadata(METHOD_METADATA, handler) === RequestMethod.POST;
  return status ?? (isPost ? HttpStatus.CREATED : HttpStatus.OK);
}
