import { IncomingMessage, ServerResponse, type Server } from 'node:http';

/** As much of a Nest HTTP adapter as is needed here. */
interface Adapter {
  getType?(): string;
  getHttpServer(): unknown;
}

/**
 * What Express and its router add to a request; `_eventsCount` is added by the first listener. Not `body`: whoever reads bodies may ask whether
 * it is there (`'body' in request`) to know whether somebody else has.
 */
interface ExpressRequest {
  res: unknown;
  next: unknown;
  baseUrl: unknown;
  originalUrl: unknown;
  _parsedUrl: unknown;
  params: unknown;
  route: unknown;
  _eventsCount: unknown;
}

interface ExpressResponse {
  locals: unknown;
  statusCode: number;
  statusMessage: string;
}

/** From here on V8 does by itself what this is for. */
const NOT_NEEDED_FROM = 24;

/**
 * Halves what a request costs under Express on Node 20 and 22. Express changes the prototype of each request and response, and V8 does not
 * remember what is added to an object after that: every request got hidden classes of its own, and nearly each access to it was a cache miss.
 * Who has the properties before keeps one class. Their values are what they would be read as anyway, so that nobody can tell. To be taken out
 * together with Node 22.
 */
export function keepExpressShapes(adapter: Adapter | undefined, node = process.versions.node): void {
  if (adapter?.getType?.() !== 'express' || Number.parseInt(node, 10) >= NOT_NEEDED_FROM) return;
  const server = adapter.getHttpServer() as Partial<Server> | undefined;
  server?.prependListener?.('request', ownProperties);
}

/** One statement a property: by a loop they would be stored under computed names, and objects with a dozen of those are tables to V8. */
function ownProperties(request: IncomingMessage, response: ServerResponse): void {
  if (!(request instanceof IncomingMessage && response instanceof ServerResponse)) return;
  const asked = request as unknown as ExpressRequest;
  const { res, next, baseUrl, originalUrl, _parsedUrl, params, route, _eventsCount } = asked;
  asked.res = res;
  asked.next = next;
  asked.baseUrl = baseUrl;
  asked.originalUrl = originalUrl;
  asked._parsedUrl = _parsedUrl;
  asked.params = params;
  asked.route = route;
  asked._eventsCount = _eventsCount;
  const answered = response as unknown as ExpressResponse;
  const { locals, statusCode, statusMessage } = answered;
  answered.locals = locals;
  answered.statusCode = statusCode;
  answered.statusMessage = statusMessage;
}
