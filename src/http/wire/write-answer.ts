import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { fieldsSet, lent, sameValue, withAppended, type HeaderFields } from './header-fields.js';
import { keepToClient, keepToClientAtLast } from './kept-to-client.js';
import { isHooked, isWrapped } from './outer-layers.js';
import type { Answer, PendingAnswer } from './pending-answer.js';
import { rawResponseOf, statusWithoutContent } from './raw-exchange.js';

/** As much of it as is needed here. */
export interface FastifyReply {
  readonly raw: ServerResponse;
  readonly request: Record<symbol, { readonly onSend?: unknown } | undefined>;
  code(status: number): unknown;
  header(name: string, value: unknown): unknown;
  removeHeader(name: string): unknown;
  hasHeader(name: string): boolean;
  send(payload?: unknown): unknown;
}

/** Belong to one connection, or are computed where the bytes are written. */
const NOT_REPLAYED = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'trailer', 'upgrade']);
const CONTENT_FIELDS = ['content-type', 'content-length', 'transfer-encoding'];

/** Writes a stored response: nothing is serialised and no validator is made; hooks and middleware between here and the wire still run. */
export function writeAnswer(response: unknown, { stored, before }: PendingAnswer): unknown {
  const now = fieldsSet(response, stored.headers);
  return write(
    response,
    stored,
    namesOf(stored.headers).filter((name) => !setSince(name, before, now)),
  );
}

/** As {@link writeAnswer}, where nobody can have set a field since the answer was found. */
export function writeAtOnce(response: unknown, stored: Answer): unknown {
  let names = known.get(stored.headers);
  if (names === undefined) known.set(stored.headers, (names = namesOf(stored.headers)));
  return write(response, stored, names);
}

/** Hits of the same second are sent the same fields. */
const known = new WeakMap<HeaderFields, readonly string[]>();

function namesOf(headers: HeaderFields): readonly string[] {
  return Object.keys(headers).filter((name) => !NOT_REPLAYED.has(name));
}

/** @param names of the fields to be set as they are stored */
function write(response: unknown, stored: Answer, names: readonly string[]): unknown {
  const head = rawResponseOf(response).req?.method === 'HEAD';
  const declared = stored.headers['content-length'];
  const length =
    stored.body?.length ?? (head && typeof declared === 'string' ? Number(declared) : head ? undefined : 0);
  const control = stored.headers['cache-control'];
  const isPrivate = typeof control === 'string' && control.startsWith('private');
  const plan: Plan = { names, head, length, empty: statusWithoutContent(stored.status), isPrivate };
  if (stored.removed !== undefined || stored.appended !== undefined) amend(response as Carrier, stored);
  if ('raw' in (response as object)) return sendReply(response as FastifyReply, stored, plan);
  return endResponse(response as ServerResponse, stored, plan);
}

/** What both platforms hand out. */
interface Carrier {
  readonly raw?: ServerResponse;
  getHeader(name: string): number | HeaderFields[string] | undefined;
  removeHeader(name: string): unknown;
  header(name: string, value: HeaderFields[string]): unknown;
}

/** Does again what the handler did to fields that are set for each request. */
function amend(response: Carrier, { removed = [], appended = {} }: Answer): void {
  for (const name of removed) {
    response.removeHeader(name);
    response.raw?.removeHeader(name);
  }
  for (const name of Object.keys(appended)) {
    const current = response.getHeader(name);
    response.header(name, withAppended(typeof current === 'number' ? String(current) : current, appended[name]!));
  }
}

interface Plan {
  /** Of the fields to be set. */
  readonly names: readonly string[];
  readonly head: boolean;
  /** Content-Length; `undefined`: none. */
  readonly length: number | undefined;
  /** The status has no content. */
  readonly empty: boolean;
  /** Nobody but the client may keep it. */
  readonly isPrivate: boolean;
}

/** Set by an outer interceptor after the answer was found. */
function setSince(name: string, before: HeaderFields, now: HeaderFields): boolean {
  const value = now[name];
  if (value === undefined) return false;
  const earlier = before[name];
  return earlier === undefined || !sameValue(earlier, value);
}

function endResponse(
  response: ServerResponse,
  { status, headers, body }: Answer,
  { names, head, length, empty, isPrivate }: Plan,
): unknown {
  response.statusCode = status;
  for (const name of names) response.setHeader(name, lent(headers[name]!));
  if (empty) for (const name of CONTENT_FIELDS) response.removeHeader(name);
  else if (length !== undefined) response.setHeader('content-length', length);
  const isOthers = isWrapped(response);
  if (isOthers) keepToClientAtLast(response, isPrivate);
  else keepToClient(response, isPrivate);
  if (head || empty || body === undefined) return response.end();
  // Whoever it goes by must not write to what is stored.
  return response.end(isOthers ? Buffer.from(body) : body);
}

function sendReply(
  reply: FastifyReply,
  { status, headers, body }: Answer,
  { names, head, length, empty, isPrivate }: Plan,
): unknown {
  const { raw } = reply;
  const isOthers = isHooked(reply) || isWrapped(raw);
  reply.code(status);
  for (const name of names) reply.header(name, lent(headers[name]!));
  if (isOthers || isPrivate || reply.hasHeader('set-cookie')) keepToClientAtLast(raw, isPrivate);
  if (empty) {
    for (const name of CONTENT_FIELDS) reply.removeHeader(name);
    return reply.send();
  }
  if (head) {
    // An empty payload would set Content-Length to 0; Fastify leaves it alone for a stream.
    if (length !== undefined) reply.header('content-length', String(length));
    return reply.send(Readable.from([]));
  }
  if (body === undefined || body.length === 0) return reply.send();
  const bytes = isOthers ? Buffer.from(body) : body;
  if (reply.hasHeader('content-type')) return reply.send(bytes);
  // Fastify would name a type for a buffer without one.
  reply.header('content-length', String(bytes.length));
  return reply.send(Readable.from([bytes]));
}
