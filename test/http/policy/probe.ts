import 'reflect-metadata';
import { request as httpRequest } from 'node:http';
import type { CallHandler, ExecutionContext, INestApplication, NestInterceptor, Type } from '@nestjs/common';
import { ExpressAdapter, type NestExpressApplication } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { tap, type Observable } from 'rxjs';
import { encodeKey } from '../../../src/core/keys/key-encoding.js';
import { pageKeyOf, type BypassedPage, type PageKey } from '../../../src/http/keys/page-key.js';
import { judgeReads, type Judgement } from '../../../src/http/policy/judge-reads.js';
import type { FillOptions } from '../../../src/http/policy/narrowed-request.js';
import { recordReads } from '../../../src/http/policy/record-reads.js';
import { requestViewOf } from '../../../src/http/policy/request-view-of.js';
import type { RequestView } from '../../../src/http/policy/request-view.js';
import { ResponseCachePolicies, type ResponseCacheOptions } from '../../../src/http/policy/response-cache.policies.js';
import type { Platform } from '../../nest/boot.js';

export const PLATFORMS: readonly Platform[] = ['express', 'fastify'];

/** What the policy half makes of one request. */
export interface Seen {
  readonly status: number;
  readonly body: unknown;
  readonly view: RequestView;
  /** While the socket was open. */
  readonly ip: string | undefined;
  readonly page: PageKey | BypassedPage;
  /** As stored. */
  readonly key: string | undefined;
  readonly bypass: string | undefined;
  readonly reads: readonly string[];
  readonly judgement: Judgement | undefined;
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Stands where the response cache will: computes the key, records the fill, stores nothing. */
class Probe implements NestInterceptor {
  last: Omit<Seen, 'status' | 'body'> | undefined;

  constructor(
    private readonly policies: ResponseCachePolicies,
    private readonly fill: FillOptions,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const view = requestViewOf(context) as RequestView;
    const policy = this.policies.of(context);
    if (policy === undefined) return next.handle();
    const page = pageKeyOf(view, policy);
    const { ip } = view;
    if ('bypass' in page) {
      this.last = { view, ip, page, key: undefined, bypass: page.bypass, reads: [], judgement: undefined };
      return next.handle();
    }
    const recording = recordReads(view, policy, page, this.fill);
    return next.handle().pipe(
      tap(() => {
        const reads = recording.stop();
        const judgement = judgeReads(reads, page.covers, policy.ignoredReads);
        this.last = {
          view,
          ip,
          page,
          key: encodeKey(page.key),
          bypass: undefined,
          reads: [...reads].sort(),
          judgement,
        };
      }),
    );
  }
}

export interface ProbeOptions extends ResponseCacheOptions {
  readonly fill?: FillOptions;
  readonly prepare?: (app: INestApplication) => unknown;
  readonly trustProxy?: boolean;
}

const open: INestApplication[] = [];

/** To be called after each test. */
export async function closeAll(): Promise<void> {
  for (const app of open.splice(0)) await app.close();
}

/** An application of these controllers behind the probe; the answer asks it and says what the probe saw. */
export async function probe(
  platform: Platform,
  controllers: Type[],
  { fill = {}, prepare, trustProxy = false, ...options }: ProbeOptions = {},
): Promise<(path: string, asking?: Asking) => Promise<Seen>> {
  const interceptor = new Probe(new ResponseCachePolicies({ cacheAll: true, ...options }), fill);
  const testing = await Test.createTestingModule({ controllers }).compile();
  const app: INestApplication =
    platform === 'express'
      ? testing.createNestApplication<NestExpressApplication>(new ExpressAdapter())
      : testing.createNestApplication(new FastifyAdapter({ trustProxy }));
  if (platform === 'express') (app as NestExpressApplication).set('trust proxy', trustProxy);
  open.push(app);
  app.useGlobalInterceptors(interceptor);
  await prepare?.(app);
  await app.listen(0, '127.0.0.1');
  const { port } = (app.getHttpServer() as { address(): { port: number } }).address();
  const url = `http://127.0.0.1:${port}`;
  return async (path, asking) => {
    interceptor.last = undefined;
    const answer = await ask(url, path, asking);
    if (interceptor.last === undefined) throw new Error(`the probe has not seen ${path}: ${JSON.stringify(answer)}`);
    return { ...(interceptor.last as Omit<Seen, 'status' | 'body'>), ...answer };
  };
}

/** As fetch, but with any Host, and a body on GET. */
function ask(
  url: string,
  path: string,
  { method = 'GET', headers = {}, body }: Asking = {},
): Promise<{ status: number; body: unknown }> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { hostname, port, path, method, headers: { connection: 'close', ...headers } },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: parsed(text) }));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
