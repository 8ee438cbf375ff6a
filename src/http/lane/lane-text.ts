import type { IncomingMessage } from 'node:http';

const ARRIVED = Symbol('nestjs-tiered-cache:lane-text');

type Arrived = IncomingMessage & { [ARRIVED]?: string };

/**
 * All that scheme, host, path and query of a request depend on, whatever the adapter's trust-proxy rules are: which proxy says what. No field
 * holds a line feed. `undefined` for requests that the lane leaves alone.
 */
export function laneText(request: IncomingMessage): string | undefined {
  const { method, headers, socket, httpVersionMajor } = request;
  if ((method !== 'GET' && method !== 'HEAD') || httpVersionMajor !== 1 || headers.host === undefined) return undefined;
  // A body is covered by no key.
  if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) return undefined;
  const scheme = (socket as { encrypted?: boolean }).encrypted === true ? 's' : '';
  let text = `${method}${scheme}\n${headers.host}\n${request.url ?? ''}`;
  const host = headers['x-forwarded-host'];
  const protocol = headers['x-forwarded-proto'];
  if (host !== undefined || protocol !== undefined)
    text += `\n${String(host)}\n${String(protocol)}\n${socket.remoteAddress ?? ''}`;
  return text;
}

/** Remembers the text of a request as it arrived: middleware may change what it was made of. */
export function arrivedWith(request: IncomingMessage, text: string): void {
  (request as Arrived)[ARRIVED] = text;
}

/** `undefined`: this request has not come by the lane. */
export function textOfArrival(request: IncomingMessage): string | undefined {
  return (request as Arrived)[ARRIVED];
}

/** The values that a request has of fields, as it arrived; `undefined` if one is there more than once. */
export function arrivedValues({ rawHeaders }: IncomingMessage, names: readonly string[]): string | undefined {
  let text = '';
  for (const name of names) {
    let value: string | undefined;
    for (let at = 0; at < rawHeaders.length; at += 2) {
      if ((rawHeaders[at] as string).toLowerCase() !== name) continue;
      if (value !== undefined) return undefined;
      value = rawHeaders[at + 1] as string;
    }
    text += spelled(name, value);
  }
  return text;
}

/** As {@link arrivedValues}, of a request that has just arrived. */
export function valuesOf({ headers }: IncomingMessage, names: readonly string[]): string {
  let text = '';
  for (const name of names) text += spelled(name, headers[name] as string | undefined);
  return text;
}

function spelled(name: string, value: string | undefined): string {
  return value === undefined ? `\n${name}` : `\n${name}=${value}`;
}
