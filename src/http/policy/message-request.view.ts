import type { IncomingMessage } from 'node:http';
import type { ExecutionContext, Type } from '@nestjs/common';
import { contextPayloadOf } from './context-payload.js';
import { cookiePairs } from './cookie-header.js';
import { handlerIdentity, type HandlerIdentity } from './handler-identity.js';
import type { Fields, RequestHeaders, RequestView } from './request-view.js';

interface Carrier extends Record<string, unknown> {
  readonly raw?: IncomingMessage;
  readonly headers?: RequestHeaders;
  /** Socket.io's. */
  readonly handshake?: { readonly headers?: RequestHeaders };
  /** By Express or Fastify, which have read it. */
  readonly host?: string;
  readonly url?: string;
  readonly originalUrl?: string;
  readonly data?: { readonly user?: unknown };
  readonly user?: unknown;
}

interface GraphQLInfo {
  readonly parentType?: { readonly name?: string };
  readonly fieldName?: string;
}

const NONE = Object.freeze({});

/** A GraphQL resolver, a message handler, a gateway's method. What such a call is about is its {@link payload}. */
export class MessageRequestView implements RequestView {
  readonly controller: Type;
  readonly handler: (...args: never[]) => unknown;
  readonly url = '';
  readonly routedUrl = '';
  readonly path = '';
  readonly search = '';
  readonly protocol = '';
  readonly query: Fields = NONE;
  readonly ip = undefined;

  constructor(
    readonly context: ExecutionContext,
    readonly kind: 'graphql' | 'rpc' | 'ws',
  ) {
    this.controller = context.getClass();
    this.handler = context.getHandler() as (...args: never[]) => unknown;
  }

  get identity(): HandlerIdentity {
    return handlerIdentity(this.controller, this.handler);
  }

  /** The field, and the endpoint: an application may have several schemas. */
  get place(): string {
    if (this.kind !== 'graphql') return '';
    const { url = '', originalUrl = url } = this.request;
    const { fieldName = '' } = this.context.getArgByIndex<GraphQLInfo | undefined>(3) ?? {};
    return `${fieldName}@${originalUrl.split('?', 1)[0]}`;
  }

  /** Of the request that carries the call, where there is one. */
  get host(): string {
    return this.request.host ?? this.headers.host ?? '';
  }

  get request(): Carrier {
    if (this.kind === 'graphql')
      return this.context.getArgByIndex<{ req?: Carrier } | undefined>(2)?.req ?? (NONE as Carrier);
    if (this.kind === 'ws') return this.context.switchToWs().getClient<Carrier | undefined>() ?? (NONE as Carrier);
    return this.context.switchToRpc().getContext<Carrier | undefined>() ?? (NONE as Carrier);
  }

  get raw(): IncomingMessage | undefined {
    return this.request.raw;
  }

  get method(): string {
    if (this.kind !== 'graphql') return 'CALL';
    return this.context.getArgByIndex<GraphQLInfo | undefined>(3)?.parentType?.name?.toUpperCase() ?? 'QUERY';
  }

  get headers(): RequestHeaders {
    return this.request.headers ?? this.request.handshake?.headers ?? NONE;
  }

  /** A resolver's arguments. */
  get params(): Fields {
    return this.kind === 'graphql' ? (this.context.getArgByIndex<Fields | undefined>(1) ?? NONE) : NONE;
  }

  cookie(name: string): readonly string[] {
    return cookiePairs(this.headers.cookie)
      .filter((pair) => pair[0] === name)
      .map((pair) => pair[1]);
  }

  get user(): unknown {
    return this.request.user ?? this.request.data?.user;
  }

  get contextPayload(): unknown {
    const graphql = this.kind === 'graphql' ? this.context.getArgByIndex<object | undefined>(2) : undefined;
    return contextPayloadOf(graphql) ?? contextPayloadOf(this.request);
  }

  get payload(): unknown {
    if (this.kind === 'graphql') return [this.context.getArgByIndex<unknown>(0) ?? null, this.params];
    return this.kind === 'ws'
      ? this.context.switchToWs().getData<unknown>()
      : this.context.switchToRpc().getData<unknown>();
  }
}
