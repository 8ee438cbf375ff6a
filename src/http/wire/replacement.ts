import type { ServerResponse } from 'node:http';
import { headerFields, lent, type HeaderChanges, type HeaderFields } from './header-fields.js';
import { statusWithoutContent } from './raw-exchange.js';
import type { Replacement } from './tap.options.js';

/** Puts the head of `replacement`, with the fields of the baseline, in place of what was set; gives back the bytes to be sent, if any. */
export function setReplacement(
  response: ServerResponse,
  { status, headers, body }: Replacement,
  baseline: HeaderFields = {},
): Buffer | undefined {
  const { sendDate } = response;
  for (const name of Object.keys(headerFields(response.getHeaders() as HeaderFields))) response.removeHeader(name);
  response.sendDate = sendDate; // removing a Date turns it off
  const fields: HeaderChanges = { ...baseline, ...headers };
  for (const name of Object.keys(fields)) {
    const value = fields[name];
    if (value !== undefined) response.setHeader(name, lent(value));
  }
  response.statusCode = status;
  if (response.req?.httpVersionMajor !== 2) response.statusMessage = ''; // HTTP/2 has none, and warns
  const isHead = response.req?.method === 'HEAD';
  const isEmpty = statusWithoutContent(status);
  if (isEmpty) response.removeHeader('content-length');
  else if (body || !isHead) response.setHeader('content-length', body?.length ?? 0);
  response.removeHeader('transfer-encoding');
  // Of what is stored: whoever it goes by must not write to it.
  return body && !isHead && !isEmpty ? Buffer.from(body) : undefined;
}
