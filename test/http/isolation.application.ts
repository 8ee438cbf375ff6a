import 'reflect-metadata';
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  Catch,
  Controller,
  Get,
  Inject,
  Injectable,
  NotFoundException,
  Param,
  Req,
  Res,
  Scope,
  StreamableFile,
  Version,
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, HttpAdapterHost, REQUEST } from '@nestjs/core';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { map, type Observable } from 'rxjs';
import {
  CachePage,
  CacheResponse,
  MemoryStore,
  TieredCacheModule,
  byAccept,
  byHeaders,
  byLocale,
  byParams,
  byQuery,
  byRoute,
  byTenant,
  byUser,
  type MemoryDatabase,
  type ResponseCachePolicy,
} from '../../src/index.js';
import { serve, type Platform } from '../nest/boot.js';

/** What tells one client from another. */
export interface Client {
  readonly user?: string | undefined;
  readonly tenant?: string | undefined;
  readonly host: string;
  readonly language?: string | undefined;
  readonly encoding?: string | undefined;
  readonly accept?: string | undefined;
  readonly variant?: string | undefined;
  readonly forwardedHost?: string | undefined;
  readonly cookie?: string | undefined;
  readonly query: string;
  readonly version: '1' | '2';
}

/** Every way in which a handler gets at something of its request. */
export type Read =
  | 'user'
  | 'tenant'
  | 'tenant of the context'
  | 'context of some tenants'
  | 'injected tenant'
  | 'host'
  | 'language'
  | 'encoding'
  | 'accept'
  | 'variant'
  | 'forwardedHost'
  | 'cookie'
  | 'query'
  | 'query.a'
  | 'query.b'
  | 'url'
  | 'all headers'
  | 'raw headers'
  | 'authorization';

/** What the handler of one run does. */
export interface Program {
  readonly reads: readonly Read[];
  /** Reads only if the client's variant is `x`: not every request shows all of what a handler depends on. */
  readonly sometimes: readonly Read[];
  /** Reads while its body is streamed. */
  readonly lazily: readonly Read[];
  /** What an interceptor further out makes part of the answer when that passes by. */
  readonly outside: readonly Read[];
  /** What it makes part of the answer, and has read before it let the request go on. */
  readonly before: readonly Read[];
  /** Whether middleware leaves a store for each request, in a storage for those who read that of the context. */
  readonly hasContext: boolean;
  readonly form: 'json' | 'text' | 'bytes' | 'file' | 'iterable' | 'response' | 'error';
  readonly pauses: number;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Which client an answer was made for, by a way that no cache can see, and what of it the answer was made of. */
export interface Output {
  readonly run: string;
  readonly version: string;
  readonly id: string;
  readonly client: Client;
  readonly seen: Readonly<Record<string, unknown>>;
  readonly late?: Readonly<Record<string, unknown>>;
}

export const programs = new Map<string, Program>();
export const clients = new Map<string, Client>();
const ids = new WeakMap<object, string>();

/** What middleware leaves there of every request, where the run has contexts. */
const every = new AsyncLocalStorage<{ readonly tenant: string | undefined }>();
/** And of those with a tenant: a storage for each run, of which nothing is known when it begins. */
const some = new Map<string, AsyncLocalStorage<string>>();

function someOf(request: { readonly url: string }): AsyncLocalStorage<string> {
  const run = nameOf(request);
  const storage = some.get(run) ?? new AsyncLocalStorage();
  some.set(run, storage);
  return storage;
}

function nameOf({ url }: { readonly url: string }): string {
  return (url.split('?')[0] as string).split('/').at(-1) as string;
}

/** There is nothing left of a run. */
export function forget(run: string): void {
  programs.delete(run);
  // Node copies all storages in use into each promise.
  some.get(run)?.disable();
  some.delete(run);
}

/** By request: also interceptors get at what a provider has made of it. */
const injected = new WeakMap<object, string>();

type Headers = Record<string, string | undefined>;
type AnyRequest = {
  readonly raw?: IncomingMessage;
  readonly headers: Headers;
  readonly query: Record<string, unknown>;
  readonly url: string;
  readonly host: string;
  readonly user?: { readonly id: string };
  readonly tenant?: string;
};

/** The fields that clients send, as far as a handler may look at them. */
export const HEADERS: Partial<Record<Read, string>> = {
  language: 'accept-language',
  encoding: 'accept-encoding',
  accept: 'accept',
  variant: 'x-variant',
  forwardedHost: 'x-forwarded-host',
  cookie: 'cookie',
  authorization: 'authorization',
};

function see(request: AnyRequest, read: Read): unknown {
  const header = HEADERS[read];
  if (header !== undefined) return request.headers[header] ?? null;
  const raw = request.raw ?? (request as unknown as IncomingMessage);
  switch (read) {
    case 'user':
      return request.user?.id ?? null;
    case 'tenant':
      return request.tenant ?? null;
    case 'tenant of the context':
      return every.getStore()?.tenant ?? null;
    case 'context of some tenants':
      return someOf(request).getStore() ?? null;
    case 'injected tenant':
      return injected.get(raw) ?? null;
    case 'host':
      return request.host;
    case 'query':
      return Object.fromEntries(Object.entries(request.query).sort());
    case 'query.a':
      return request.query['a'] ?? null;
    case 'query.b':
      return request.query['b'] ?? null;
    case 'url':
      return request.url;
    case 'all headers':
      return ofHeaders({ ...request.headers });
    case 'raw headers':
      return ofHeaders(
        Object.fromEntries(raw.rawHeaders.flatMap((name, at) => (at % 2 ? [] : [[name, raw.rawHeaders[at + 1]]]))),
      );
    default:
      return null;
  }
}

function ofHeaders(headers: Headers): unknown {
  return Object.values(HEADERS).map((name) => headers[name] ?? null);
}

function seeAll(request: AnyRequest, reads: readonly Read[]): Record<string, unknown> {
  return Object.fromEntries(reads.map((read) => [read, see(request, read)]));
}

const idOf = (request: AnyRequest): string => ids.get(request.raw ?? request) as string;

async function run(
  version: string,
  name: string,
  request: AnyRequest,
  response: { header(name: string, value: string): void; status(code: number): unknown },
): Promise<unknown> {
  const program = programs.get(name) as Program;
  const id = idOf(request);
  const client = clients.get(id) as Client;
  const seen: Record<string, unknown> = {};
  for (const [at, read] of program.reads.entries()) {
    if (at < program.pauses) await new Promise((resolve) => setImmediate(resolve));
    seen[read] = see(request, read);
  }
  for (let at = program.reads.length; at < program.pauses; at++) await new Promise((resolve) => setImmediate(resolve));
  if (program.sometimes.length > 0 && see(request, 'variant') === 'x')
    Object.assign(seen, seeAll(request, program.sometimes));
  const output: Output = { run: name, version, id, client, seen };
  const text = JSON.stringify(output);
  response.header('x-output', text);
  for (const [field, value] of Object.entries(program.headers)) response.header(field, value);
  if (program.status !== 200) response.status(program.status);
  const late = (): string => JSON.stringify({ ...output, late: seeAll(request, program.lazily) });
  switch (program.form) {
    case 'json':
      return output;
    case 'text':
      return text;
    case 'bytes':
      return new StreamableFile(Buffer.from(text), { type: 'application/json' });
    case 'file':
      return new StreamableFile(Readable.from(lines(late)), { type: 'application/json' });
    case 'iterable':
      return lines(late);
    case 'response':
      return new Response(text, {
        status: program.status,
        headers: { 'content-type': 'application/json', 'x-output': text, ...program.headers },
      });
    case 'error':
      throw new NotFoundException(output);
  }
}

async function* lines(text: () => string): AsyncGenerator<Buffer> {
  await new Promise((resolve) => setImmediate(resolve));
  yield Buffer.from(text());
}

const ttl = '1m' as const;
const everything = [byRoute(), byParams(), byQuery('*')];
const tenantOf = (view: { request: Readonly<Record<string, unknown>> }): string | undefined =>
  view.request['tenant'] as string | undefined;

export const POLICIES: Readonly<Record<string, ResponseCachePolicy>> = {
  plain: { ttl },
  user: { ttl, key: [...everything, byUser()] },
  tenant: { ttl, key: [...everything, byTenant(tenantOf)] },
  both: {
    ttl,
    key: [...everything, byTenant(tenantOf), byUser((view) => (view.user as { id: string } | undefined)?.id)],
  },
  principal: { ttl, principal: (view) => (view.user as { id: string } | undefined)?.id },
  organisation: { ttl, cookies: ['theme'], key: [...everything, byTenant(({ user }) => (user ? 'org' : undefined))] },
  locale: { ttl, key: [...everything, byLocale(['en', 'de'])] },
  accept: { ttl, key: [...everything, byAccept(['application/json', 'text/html']), byHeaders('x-variant')] },
  vary: { ttl, vary: ['accept-language', 'x-variant'] },
  varyOf: {
    ttl,
    vary: (view) => (view.headers['x-variant'] === 'x' ? ['accept-language', 'x-variant'] : ['x-variant']),
  },
  listed: { ttl, key: [byRoute(), byParams(), byQuery(['a'], { defaults: { a: '1' } })] },
  cookies: { ttl, cookies: ['theme'] },
  public: { ttl, public: true },
  custom: {
    ttl,
    key: ({ params, request, handler }) => [
      params['run'] as string,
      handler.name,
      (request['headers'] as Headers)['x-variant'] ?? null,
    ],
  },
  stale: { ttl: '5s', freshFor: 1 },
  staleUser: { ttl: '5s', freshFor: 1, key: [...everything, byUser()] },
  staleLocale: { ttl: '5s', freshFor: 1, key: [...everything, byLocale(['en', 'de'])] },
  errors: { ttl, negativeTtl: '1m', staleIfError: '1m', status: [200, 203, 404] },
  few: { ttl, maxVariants: 2 },
  rfc: { mode: 'rfc', ttl },
  rfcUser: { mode: 'rfc', ttl, key: [...everything, byUser()] },
};
/** Of handlers that are given what was made of the request. */
export const INJECTED = ['injected', 'values/injected'];
export const VALUES = [
  'plain',
  'user',
  'tenant',
  'organisation',
  'vary',
  'listed',
  'cookies',
  'public',
  'stale',
  'accept',
];

/** Reads when it is made, before anybody could see it. */
@Injectable({ scope: Scope.REQUEST })
class TenantOfRequest {
  constructor(@Inject(REQUEST) request: AnyRequest) {
    const tenant = request.headers['x-tenant'];
    if (tenant !== undefined) injected.set(request.raw ?? request, tenant);
  }
}

/** One class for each version: handlers of the same names, under the same paths. @param isInjected of those that are made anew for each request */
function controllerOf(version: '1' | '2', isInjected: boolean): Type {
  class Isolated {}
  const prototype = Isolated.prototype as Record<string, unknown>;
  const add = (name: string, path: string, decorator: MethodDecorator): void => {
    const handler = {
      async [name](run_: string, request: AnyRequest, response: never): Promise<unknown> {
        return run(version, run_, request, response);
      },
    }[name];
    Object.defineProperty(prototype, name, { value: handler, writable: true, configurable: true });
    Param('run')(Isolated.prototype, name, 0);
    Req()(Isolated.prototype, name, 1);
    Res({ passthrough: true })(Isolated.prototype, name, 2);
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor;
    for (const decorate of [decorator, Version(version), Get(`${path}/:run`)]) decorate(prototype, name, descriptor);
  };
  if (isInjected) {
    Inject(TenantOfRequest)(prototype, 'tenant');
    add('injected', 'injected', CachePage({ ttl }));
    add('injectedValue', 'values/injected', CacheResponse({ ttl }));
  } else {
    for (const [name, policy] of Object.entries(POLICIES)) add(name, name, CachePage(policy));
    for (const name of VALUES)
      add(`${name}Value`, `values/${name}`, CacheResponse(POLICIES[name] as ResponseCachePolicy));
  }
  Controller('isolation')(Isolated);
  return Isolated;
}

@Injectable()
class Recognises implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<{ headers: Headers; user?: unknown; tenant?: unknown }>();
    const { authorization } = request.headers;
    if (authorization !== undefined) request.user = { id: authorization.slice('Bearer '.length) };
    if (request.headers['x-tenant'] !== undefined) request.tenant = request.headers['x-tenant'];
    return true;
  }
}

const seenBefore = new WeakMap<object, Record<string, unknown>>();

/** Registered outside of the cache: it sees requests on their way in, and answers on their way out. */
@Injectable()
class Outside implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<AnyRequest & { params: { run: string } }>();
    const program = programs.get(request.params.run);
    if (program === undefined || program.outside.length + program.before.length === 0) return next.handle();
    const before = seeAll(request, program.before);
    seenBefore.set(request, before);
    return next
      .handle()
      .pipe(
        map((value: unknown) =>
          typeof value === 'object' && value !== null && 'run' in value
            ? { ...value, late: { ...before, ...seeAll(request, program.outside) } }
            : value,
        ),
      );
  }
}

@Catch(NotFoundException)
@Injectable()
class Filter implements ExceptionFilter {
  constructor(private readonly host: HttpAdapterHost) {}

  catch(exception: NotFoundException, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<AnyRequest>();
    const output = exception.getResponse() as Output;
    const outside = programs.get(output.run)?.outside ?? [];
    const late = { ...seenBefore.get(request), ...seeAll(request, outside) };
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), { ...output, late }, 404);
  }
}

/**
 * One of the processes of the application.
 * @param isOutermost whether no interceptor stands outside of the cache's
 */
export async function serveIsolated(
  platform: Platform,
  isOutermost: boolean,
  database: MemoryDatabase,
  prepare: (app: INestApplication) => unknown,
): Promise<INestApplication> {
  const { app } = await serve(
    platform,
    {
      imports: [TieredCacheModule.forRoot({ remote: new MemoryStore({ database }) })],
      controllers: ([false, true] as const).flatMap((is) => [controllerOf('1', is), controllerOf('2', is)]),
      providers: [
        TenantOfRequest,
        { provide: APP_GUARD, useClass: Recognises },
        ...(isOutermost ? [] : [{ provide: APP_INTERCEPTOR, useClass: Outside }]),
        { provide: APP_FILTER, useClass: Filter },
      ],
    },
    (application) => {
      application.use((request: IncomingMessage, _response: unknown, next: () => void) => {
        ids.set(request, request.headers['x-id'] as string);
        const tenant = request.headers['x-tenant'] as string | undefined;
        const go = (): void => (tenant === undefined ? next() : someOf(request as { url: string }).run(tenant, next));
        if (programs.get(nameOf(request as { url: string }))?.hasContext) every.run({ tenant }, go);
        else go();
      });
      return prepare(application);
    },
  );
  return app;
}
