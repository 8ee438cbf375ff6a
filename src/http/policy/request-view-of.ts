import type { ExecutionContext } from '@nestjs/common';
import { HttpRequestView } from './http-request.view.js';
import { MessageRequestView } from './message-request.view.js';
import type { RequestView } from './request-view.js';

/**
 * The view of the call that `context` is about; `undefined` for a transport this package does not know.
 * @example requestViewOf(context)?.host
 */
export function requestViewOf(context: ExecutionContext): RequestView | undefined {
  const kind = context.getType<string>();
  if (kind === 'http') return new HttpRequestView(context);
  return kind === 'graphql' || kind === 'rpc' || kind === 'ws' ? new MessageRequestView(context, kind) : undefined;
}
