import { REDIRECT_METADATA, RENDER_METADATA, SSE_METADATA } from '@nestjs/common/constants.js';
import { StreamableFile, type ExecutionContext, type HttpServer } from '@nestjs/common';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { patchAdapter } from './adapter.patch.js';
import { fieldsSet } from './header-fields.js';
import { expectAnswer, type Answer, type PendingAnswer } from './pending-answer.js';
import { rawResponseOf } from './raw-exchange.js';

/**
 * What the interceptor emits in place of the handler's value. A StreamableFile, because that is what outer interceptors leave alone
 * (ClassSerializerInterceptor does); its empty stream is never read.
 */
class AnswerMarker extends StreamableFile {
  constructor() {
    super(new Uint8Array(0));
  }
}

const MARKER: StreamableFile = new AnswerMarker();

/**
 * Answers the request of `context` with stored bytes: emit what this returns from the interceptor. The bytes are written where Nest would
 * have replied, whatever outer interceptors make of the emitted value; headers these set from now on win over stored ones. If they throw
 * instead, the error is answered and the stored response is dropped.
 *
 * @param adapter `HttpAdapterHost.httpAdapter`
 * @throws CacheUsageError for a route with `@Sse()`, which Nest does not answer through the adapter.
 * @example
 * intercept(context: ExecutionContext, next: CallHandler) {
 *   return hit ? of(answer(this.host.httpAdapter, context, { status: 200, headers, body })) : next.handle();
 * }
 */
export function answer(adapter: HttpServer, context: ExecutionContext, stored: Answer): unknown {
  patchAdapter(adapter);
  const response = context.switchToHttp().getResponse<object>();
  const { exit, target } = exitOf(context.getHandler());
  const before = fieldsSet(response, stored.headers);
  const statusBefore = rawResponseOf(response).statusCode;
  expectAnswer(response, { stored, marker: MARKER, exit, target, before, statusBefore });
  return MARKER;
}

type RouteExit = Pick<PendingAnswer, 'exit' | 'target'>;

const exits = new WeakMap<object, RouteExit>();

/** By which exit Nest answers for a handler; as RouterExecutionContext decides it. */
function exitOf(handler: object): RouteExit {
  const known = exits.get(handler);
  if (known) return known;
  if (Reflect.getMetadata(SSE_METADATA, handler)) {
    throw new CacheUsageError(
      'http_sse_answer',
      'a route with @Sse() cannot be answered from the cache; leave it out with @NoCache()',
    );
  }
  const template = Reflect.getMetadata(RENDER_METADATA, handler) as unknown;
  const redirect = Reflect.getMetadata(REDIRECT_METADATA, handler) as { url?: unknown } | undefined;
  const found: RouteExit = template
    ? { exit: 'render', target: template }
    : typeof redirect?.url === 'string'
      ? { exit: 'redirect', target: redirect.url }
      : { exit: 'reply', target: undefined };
  exits.set(handler, found);
  return found;
}
