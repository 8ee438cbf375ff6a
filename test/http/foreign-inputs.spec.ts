import 'reflect-metadata';
import {
  Controller,
  Get,
  Param,
  Req,
  Res,
  type CallHandler,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import type { Observable } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CachePage, CacheResponse, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { ask } from './wire/wire.client.js';

// What middleware has made of one client is not shown to another, by whatever property of the request the handler comes by it.

afterEach(closeAll);

interface Bag extends Record<PropertyKey, unknown> {
  readonly headers: Record<string, string | undefined>;
  readonly socket: Record<string, unknown> & { readonly remotePort: number };
  readonly locals: Record<string, unknown>;
}

interface Way {
  /** What middleware does for a client. */
  readonly put: (request: Bag, client: string, response: Bag) => void;
  readonly read: (request: Bag, response: Bag) => unknown;
  readonly on?: Platform;
}

const WHO = Symbol('who');
const raw = (request: Bag): Bag => (request['raw'] ?? request) as Bag;
const hung =
  (name: PropertyKey, of = (client: string): unknown => client): Way['put'] =>
  (request, client) =>
    void (request[name] = of(client));
const got = (name: PropertyKey): Way['read'] => {
  return (request) => raw(request)[name] ?? null;
};

const WAYS: Readonly<Record<string, Way>> = {
  'a property': { put: hung('shop'), read: got('shop') },
  'req.context': { put: hung('context'), read: got('context') },
  'req.id': { put: hung('id'), read: got('id') },
  'a null for some': { put: hung('member', (client) => (client === 'ann' ? null : client)), read: got('member') },
  'undefined for some': {
    put: hung('member', (client) => (client === 'ann' ? undefined : client)),
    read: got('member'),
  },
  'a method': {
    put: hung('getUser', (client) => () => client),
    read: (request) => (raw(request)['getUser'] as () => string)(),
  },
  'a name with an underscore': { put: hung('_user'), read: got('_user') },
  'a symbol': { put: hung(WHO), read: (request) => raw(request)[WHO] },
  'a symbol for some': {
    put: (request, client) => void (client === 'ann' || (request[WHO] = client)),
    read: (request) => raw(request)[WHO] ?? null,
  },
  'all properties': { put: hung('shop'), read: (request) => ({ ...raw(request) })['shop'] },
  'a getter of its own': {
    put: (request, client) => void Object.defineProperty(request, 'who', { configurable: true, get: () => client }),
    read: got('who'),
  },
  'res.locals': {
    put: (_request, client, response) => void (response.locals['user'] = client),
    read: (_request, response) => response.locals['user'],
    on: 'express',
  },
  'res.locals for some': {
    put: (_request, client, response) => void (client === 'ann' || (response.locals['user'] = client)),
    read: (_request, response) => response.locals['user'] ?? null,
    on: 'express',
  },
  'all of res.locals': {
    put: (_request, client, response) => void (response.locals['user'] = client),
    read: (_request, response) => ({ ...response.locals }),
    on: 'express',
  },
  'a property of the response': {
    put: (_request, client, response) => void (response['shop'] = client),
    read: (_request, response) => raw(response)['shop'],
  },
  'a property of the response for some': {
    put: (_request, client, response) => void (client === 'ann' || (response['shop'] = client)),
    read: (_request, response) => raw(response)['shop'] ?? null,
  },
  // As i18n does it.
  'a method of the response': {
    put: (_request, client, response) => void (response['__'] = () => client),
    read: (_request, response) => (raw(response)['__'] as () => string)(),
  },
  'res.socket': { put: () => undefined, read: (_request, response) => raw(response).socket.remotePort },
  'res.connection': {
    put: () => undefined,
    read: (_request, response) => (raw(response)['connection'] as Bag['socket']).remotePort,
  },
  'res.req.socket': {
    put: () => undefined,
    read: (_request, response) => (raw(response)['req'] as Bag).socket.remotePort,
  },
  'the certificate of the peer of the response': {
    put: (request, client) => void (request.socket['getPeerCertificate'] = () => ({ subject: client })),
    read: (_request, response) => (raw(response).socket['getPeerCertificate'] as () => unknown)(),
  },
  'the port of the peer': { put: () => undefined, read: (request) => request.socket.remotePort },
  'the peer of req.connection': {
    put: () => undefined,
    read: (request) => (raw(request)['connection'] as Bag['socket']).remotePort,
  },
  'the address of the peer': {
    put: (request, client) =>
      void Object.defineProperty(request.socket, 'remoteAddress', { configurable: true, value: client }),
    read: (request) => request.socket['remoteAddress'],
  },
  'the name of the peer': {
    put: () => undefined,
    read: (request) => request.socket['_peername'] ?? request.socket.remotePort,
  },
  'what hangs on the socket for some': {
    put: (request, client) => void (client === 'ann' || (request.socket['tenant'] = client)),
    read: (request) => request.socket['tenant'] ?? null,
  },
  'the certificate of the peer': {
    put: (request, client) => void (request.socket['getPeerCertificate'] = () => ({ subject: client })),
    read: (request) => (request.socket['getPeerCertificate'] as () => unknown)(),
  },
  'what hangs on the socket': {
    put: (request, client) => void (request.socket['tenant'] = client),
    read: (request) => request.socket['tenant'],
  },
};

/** What guards put where Node, or a framework, has something of that name, or would have. */
const GUARDED: Readonly<Record<string, Way>> = {
  'req.client': {
    put: hung('client', (client) => ({ id: client })),
    read: (request) => (request['client'] as Bag)['id'],
  },
  'req.client for some': {
    put: (request, client) => void (client === 'ann' || (request['client'] = { id: client })),
    read: (request) => (request['client'] as Bag | undefined)?.['id'] ?? null,
  },
  'req.connection': { put: hung('connection'), read: (request) => request['connection'] },
  'req.stream': { put: hung('stream'), read: (request) => request['stream'] },
  'req.stream for some': {
    put: (request, client) => void (client === 'ann' || (request['stream'] = client)),
    read: (request) => request['stream'] ?? null,
  },
  'req.server': {
    put: (request, client) => void Object.defineProperty(request, 'server', { configurable: true, value: client }),
    read: (request) => request['server'],
  },
  'req.ip': {
    put: (request, client) => void Object.defineProperty(request, 'ip', { configurable: true, value: client }),
    read: (request) => request['ip'],
  },
  'req.body': {
    put: hung('body', (client) => ({ userId: client })),
    read: (request) => (request['body'] as Bag)['userId'],
  },
  'all of req.body': {
    put: hung('body', (client) => ({ userId: client })),
    read: (request) => ({ ...(request['body'] as object) }),
  },
  'a text as req.body': { put: hung('body'), read: (request) => request['body'] },
  'a name in the parsed query': {
    put: (request, client) => void ((request['query'] as Bag)['shop'] = client),
    read: (request) => (request['query'] as Bag)['shop'],
    on: 'fastify',
  },
  'a name in the parsed query for some': {
    put: (request, client) => void (client === 'ann' || ((request['query'] as Bag)['shop'] = client)),
    read: (request) => (request['query'] as Bag)['shop'] ?? null,
    on: 'fastify',
  },
  'a Map in the parsed query': {
    put: (request, client) => void ((request['query'] as Bag)['shops'] = new Map([[client, 1]])),
    read: (request) => [...((request['query'] as Bag)['shops'] as Map<string, number>).keys()],
    on: 'fastify',
  },
  'another query': {
    put: (request, client) =>
      void Object.defineProperty(request, 'query', { configurable: true, value: { shop: client } }),
    read: (request) => (request['query'] as Bag)['shop'],
  },
  'a query on Node’s request': {
    put: (request, client) => void (raw(request)['query'] = { shop: client }),
    read: (request) => (raw(request)['query'] as Bag)['shop'],
    on: 'fastify',
  },
  'a property of the reply': {
    put: (_request, client, response) => void (response['shop'] = client),
    read: (_request, response) => response['shop'],
  },
  'a property of the reply for some': {
    put: (_request, client, response) => void (client === 'ann' || (response['shop'] = client)),
    read: (_request, response) => response['shop'] ?? null,
  },
  'req.raw.user for some': {
    put: (request, client) => void (client === 'ann' || (raw(request)['user'] = client)),
    read: (request) => raw(request)['user'] ?? null,
    on: 'fastify',
  },
};

const runs = new Map<string, number>();
beforeEach(() => runs.clear());

function answer(way: string, request: Bag, response: Bag): { run: number; value: unknown } {
  runs.set(way, (runs.get(way) ?? 0) + 1);
  return { run: runs.get(way) as number, value: (WAYS[way] ?? GUARDED[way] ?? OURS[way])?.read(request, response) };
}

/** What Node and the frameworks put there themselves, alike for all requests of a key. */
const OURS: Readonly<Record<string, Way>> = {
  'method, url, query': {
    put: () => undefined,
    read: (request) => [request['method'], request['url'], { ...(request['query'] as object) }],
  },
  'host and protocol': {
    put: () => undefined,
    read: (request) => [request['hostname'], request['protocol'], request['host']],
  },
  'stream state': {
    put: () => undefined,
    read: (request) => [raw(request)['complete'], raw(request)['_readableState'] !== null, raw(request)['destroyed']],
  },
  'whether the client is there': {
    put: () => undefined,
    read: (request) => [request.socket['destroyed'], request.socket['encrypted'] ?? null],
  },
  'an empty body': { put: hung('body', () => ({})), read: (request) => JSON.stringify(request['body'] ?? {}) },
  'an absent user': { put: hung('user', () => null), read: (request) => request['user'] ?? null },
  'whether the response is under way': {
    put: () => undefined,
    read: (_request, response) => [
      raw(response)['headersSent'],
      raw(response)['writableEnded'],
      raw(response)['statusCode'],
      raw(response).socket['writable'],
    ],
  },
  'what it has written itself': {
    put: () => undefined,
    read: (_request, response) => {
      response.locals['title'] = 'mine';
      return { ...response.locals }['title'];
    },
    on: 'express',
  },
};

@Controller()
class Ways {
  @Get('page/:way')
  @CachePage('1m')
  page(@Param('way') way: string, @Req() request: Bag, @Res({ passthrough: true }) response: Bag): object {
    return answer(way, request, response);
  }

  @Get('value/:way')
  @CacheResponse('1m')
  value(@Param('way') way: string, @Req() request: Bag, @Res({ passthrough: true }) response: Bag): object {
    return answer(way, request, response);
  }
}

/** Lets pass: with it the reads are noted from the end of the guards on. */
class Outside implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle();
  }
}

const start = (platform: Platform, isOutermost = true): Promise<{ url: string }> =>
  serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Ways] }, (app: INestApplication) => {
    if (!isOutermost) app.useGlobalInterceptors(new Outside());
    app.use((request: Bag & IncomingMessage, response: Bag, next: () => void) => {
      const way = decodeURIComponent(((request as IncomingMessage).url ?? '').split('/')[2] ?? '');
      (WAYS[way] ?? OURS[way])?.put(request, request.headers['x-client'] as string, response);
      next();
    });
    app.useGlobalGuards({
      canActivate(context) {
        const request = context.switchToHttp().getRequest<Bag & { url: string }>();
        const way = GUARDED[decodeURIComponent(request.url.split('/')[2] ?? '')];
        way?.put(request, request.headers['x-client'] as string, context.switchToHttp().getResponse());
        return true;
      },
    });
  });

const waysOn = (platform: Platform, ways: Readonly<Record<string, Way>>): string[] =>
  Object.keys(ways).filter((name) => (ways[name]?.on ?? platform) === platform);

describe.each(['express', 'fastify'] as const)('on %s a client is not shown what another was, read as', (platform) => {
  it.each([...waysOn(platform, WAYS), ...waysOn(platform, GUARDED)])('%s', async (way) => {
    for (const isOutermost of [true, false]) {
      runs.clear();
      const { url } = await start(platform, isOutermost);
      for (const kind of ['page', 'value']) {
        const at = `${url}/${kind}/${encodeURIComponent(way)}`;
        for (const client of ['ann', 'bob', 'cid'])
          expect((await ask(at, { headers: { 'x-client': client } })).status).toBe(200);
      }
      expect(runs.get(way)).toBe(6);
    }
  });
});

describe.each(['express', 'fastify'] as const)('on %s a page is shared whose handler reads', (platform) => {
  it.each(waysOn(platform, OURS))('%s', async (way) => {
    const { url } = await start(platform);
    for (const kind of ['page', 'value'])
      for (const client of ['ann', 'bob'])
        await ask(`${url}/${kind}/${encodeURIComponent(way)}`, { headers: { 'x-client': client } });
    expect(runs.get(way)).toBe(2);
  });
});
