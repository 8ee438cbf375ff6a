import { request, type Agent, type IncomingHttpHeaders } from 'node:http';

export interface Received {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: NodeJS.Dict<string>;
  /** The connection broke before the end. */
  readonly broken: boolean;
}

/** One request, over a socket of its own unless an agent is given. */
export function ask(
  url: string,
  options: { method?: string; headers?: Record<string, string>; agent?: Agent } = {},
): Promise<Received> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent: false, ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => undefined);
      response.on('close', () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: Buffer.concat(chunks),
          trailers: response.trailers,
          broken: !response.complete,
        }),
      );
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** A client that leaves when `leave` is called; `begun` resolves at the first byte of a body. */
export function leaver(
  url: string,
  options: { method?: string } = {},
): { leave(): void; readonly begun: Promise<unknown>; readonly left: Promise<void> } {
  const sent = request(url, { agent: false, ...options });
  sent.on('error', () => undefined);
  const begun = new Promise((resolve) =>
    sent.on('response', (response) => response.on('error', () => undefined).on('data', resolve)),
  );
  sent.end();
  const left = new Promise<void>((resolve) => sent.once('close', () => resolve()));
  return { leave: () => sent.destroy(), begun, left };
}

/** Without what differs from one response to the next. */
export function steady(headers: IncomingHttpHeaders): Record<string, unknown> {
  const { date: _date, connection: _connection, 'keep-alive': _keepAlive, ...rest } = headers;
  return rest;
}
