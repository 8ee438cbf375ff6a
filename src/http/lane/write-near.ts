import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Answer } from '../../http-semantics/answer.js';
import { bodyOf } from '../page.js';
import type { NearAnswer } from '../response-cache.js';
import { statusWithoutContent } from '../wire/raw-exchange.js';

/** Answers are made once for many requests, and so are their fields with Content-Length. */
const known = new WeakMap<Answer, OutgoingHttpHeaders>();

/** Writes a stored response where no framework has touched the response yet. */
export function writeNear(response: ServerResponse, { page, made }: NearAnswer, method: string): void {
  const isHead = method === 'HEAD';
  // A HEAD is told the length of what a GET would be sent.
  const isWhole = made.body === 'full' || (isHead && made.status === page.stored.status);
  const body = isWhole ? page.body : bodyOf(page, made.body).body;
  let headers = known.get(made);
  if (headers === undefined) {
    headers = { ...made.headers } as OutgoingHttpHeaders;
    if (!statusWithoutContent(made.status)) headers['content-length'] = body?.length ?? 0;
    known.set(made, headers);
  }
  response.writeHead(made.status, headers);
  if (isHead || body === undefined || statusWithoutContent(made.status)) response.end();
  else response.end(body);
}
