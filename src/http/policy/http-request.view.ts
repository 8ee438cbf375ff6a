import type { IncomingMessage } from 'node:http';
import type { ExecutionContext, Type } from '@nestjs/common';
import { cookiePairs } from './cookie-header.js';
import { contextPayloadOf } from './context-payload.js';
import { placeOf } from './controller-places.js';
import { handlerIdentity, type HandlerIdentity } from './handler-identity.js';
import { absoluteForm } from './absolute-form.js';
import type { Fields, RequestHeaders, RequestView } from './request-view.js';

/** What Express' and Fastify's requests have in common. */
interface FrameworkRequest extends Record<string, unknown> {
  readonly raw?: IncomingMessage;
  readonly url: string;
  readonly originalUrl?: string;
  readonly method: string;
  readonly headers: RequestHeaders;
  readonly host?: string;
  readonly protocol?: string;
  readonly ip?: string;
  readonly params?: Fields;
  readonly query?: Fields;
  readonly user?: unknown;
}

/** As nearly all are. */
function isOriginForm(url: string): boolean {
  return url.charCodeAt(0) === 47;
}

const NO_FIELDS: Fields = Object.freeze({});

export class HttpRequestView implements RequestView {
  readonly kind = 'http';
  readonly controller: Type;
  readonly handler: (...args: never[]) => unknown;
  readonly request: FrameworkRequest;
  readonly raw: IncomingMessage;
  readonly method: string;
  readonly url: string;
  readonly routedUrl: string;
  readonly headers: RequestHeaders;
  readonly payload = undefined;
  private parsedQuery: Fields | undefined;
  private authority: string | undefined;

  constructor(readonly context: ExecutionContext) {
    const request = context.getArgByIndex<FrameworkRequest>(0);
    this.controller = context.getClass();
    this.handler = context.getHandler() as (...args: never[]) => unknown;
    this.request = request;
    this.raw = request.raw ?? (request as unknown as IncomingMessage);
    this.method = request.method;
    const routed = this.raw.url ?? '';
    const url = request.originalUrl ?? routed;
    this.routedUrl = isOriginForm(routed) ? routed : this.originForm(routed);
    this.url = url === routed ? this.routedUrl : isOriginForm(url) ? url : this.originForm(url);
    this.headers = request.headers;
  }

  get identity(): HandlerIdentity {
    return handlerIdentity(this.controller, this.handler);
  }

  get place(): string {
    return placeOf(this.controller) ?? this.path;
  }

  get path(): string {
    const end = this.routedUrl.indexOf('?');
    return end === -1 ? this.routedUrl : this.routedUrl.slice(0, end);
  }

  get search(): string {
    const start = this.routedUrl.indexOf('?');
    return start === -1 ? '' : this.routedUrl.slice(start + 1);
  }

  get host(): string {
    return (this.authority ??= this.request.host ?? '');
  }

  get protocol(): string {
    return this.request.protocol ?? 'http';
  }

  get params(): Fields {
    return this.request.params ?? NO_FIELDS;
  }

  get query(): Fields {
    // Express parses anew whenever it is asked.
    return (this.parsedQuery ??= this.request.query ?? NO_FIELDS);
  }

  cookie(name: string): readonly string[] {
    return cookiePairs(this.headers.cookie)
      .filter((pair) => pair[0] === name)
      .map((pair) => pair[1]);
  }

  get ip(): string | undefined {
    return this.request.ip;
  }

  get user(): unknown {
    return this.request.user;
  }

  get contextPayload(): unknown {
    return contextPayloadOf(this.request);
  }

  /** Another host than the request's stays: a handler can read both. */
  private originForm(url: string): string {
    const absolute = absoluteForm(url);
    return absolute?.origin === `${this.protocol}://${this.host}`.toLowerCase() ? absolute.target : url;
  }
}
