import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { ExecutionContext, Type } from '@nestjs/common';
import type { HandlerIdentity } from './handler-identity.js';

export type RequestHeaders = Readonly<IncomingHttpHeaders>;
export type Fields = Readonly<Record<string, unknown>>;

/**
 * One view of an incoming call, whatever framework carries it. What costs is computed when it is asked for. Outside HTTP the parts that a
 * transport has no equal of are empty.
 */
export interface RequestView {
  readonly kind: 'http' | 'graphql' | 'rpc' | 'ws';
  readonly context: ExecutionContext;
  readonly controller: Type;
  readonly handler: (...args: never[]) => unknown;
  readonly identity: HandlerIdentity;
  /** Where the handler was found, if its class does not say it: under a path of its module, as a field of GraphQL. Often empty. */
  readonly place: string;
  /** The framework's request: Express', Fastify's, GraphQL's `context.req`, a gateway's client. */
  readonly request: Fields;
  /** Node's request. */
  readonly raw: IncomingMessage | undefined;
  /** Upper-case. `QUERY`, `MUTATION` and so on for GraphQL, `CALL` for the others. */
  readonly method: string;
  /** The request target as received; the absolute form of the request's own origin as its path and query. */
  readonly url: string;
  /** The request target that was routed: `url`, unless middleware has rewritten it. */
  readonly routedUrl: string;
  /** Bytes of {@link routedUrl} up to the question mark. */
  readonly path: string;
  /** Bytes of {@link routedUrl} after the question mark. */
  readonly search: string;
  /** The authority by the adapter's trust-proxy rules; `''` if the client named none. */
  readonly host: string;
  /** `http` or `https`, by the adapter's trust-proxy rules. */
  readonly protocol: string;
  /** Names in lower case. */
  readonly headers: RequestHeaders;
  readonly params: Fields;
  /** As the framework has parsed it. */
  readonly query: Fields;
  /** Every raw value of a cookie, in order; a name may occur more than once. */
  cookie(name: string): readonly string[];
  readonly ip: string | undefined;
  /** What a guard has recognised: `request.user`. */
  readonly user: unknown;
  /** What a `ContextIdStrategy` gives to durable providers in place of the request: a tenant. Undefined for handlers that are not made for a request. */
  readonly contextPayload: unknown;
  /** What a call outside HTTP is about: GraphQL's parent and arguments, a message's data. */
  readonly payload: unknown;
}
