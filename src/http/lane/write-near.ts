import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Answer } from '../../http-semantics/answer.js';
import { bytesOf, type NearAnswer } from '../near-answer.js';
import { isWrapped } from '../wire/outer-layers.js';
import { statusWithoutContent } from '../wire/raw-exchange.js';

/** Answers are made once for many requests, and so are their fields with Content-Length. */
const known = new WeakMap<Answer, OutgoingHttpHeaders>();

/** Writes a stored response where no framework has touched the response yet. */
export function writeNear(response: ServerResponse, near: NearAnswer, method: string): void {
  const { made } = near;
  const body = bytesOf(near, method);
  let headers = known.get(made);
  if (headers === undefined) {
    headers = { ...made.headers } as OutgoingHttpHeaders;
    if (!statusWithoutContent(made.status)) headers['content-length'] = body?.length ?? 0;
    known.set(made, headers);
  }
  response.writeHead(made.status, headers);
  if (method === 'HEAD' || body === undefined || statusWithoutContent(made.status)) response.end();
  // Whoever has got in front must not write to what is stored.
  else response.end(isWrapped(response) ? Buffer.from(body) : body);
}
