import type { IncomingMessage, ServerResponse } from 'node:http';

/** Node's response behind what Nest hands out: the response of Express itself, `reply.raw` of Fastify. */
export function rawResponseOf(response: unknown): ServerResponse {
  return (response as { raw?: ServerResponse }).raw ?? (response as ServerResponse);
}

/** Node's request behind what Nest hands out. */
export function rawRequestOf(request: unknown): IncomingMessage {
  return (request as { raw?: IncomingMessage }).raw ?? (request as IncomingMessage);
}

/** Statuses whose response has no content, whatever the handler writes (RFC 9110 6.4.1). */
export function statusWithoutContent(status: number): boolean {
  return status === 204 || status === 304 || (status >= 100 && status < 200);
}
