import {
  Controller,
  ForbiddenException,
  Get,
  HttpException,
  Inject,
  Injectable,
  ParseIntPipe,
  Query,
  Req,
  Res,
  Scope,
  StreamableFile,
  UseGuards,
  UseInterceptors,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import { HttpAdapterHost, REQUEST } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import type { Observable } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Platform } from '../../nest/boot.js';
import {
  baselineOf,
  detachedRequestOf,
  detachedTaskOf,
  dispatchDetached,
  rawRequestOf,
  rawResponseOf,
  tapResponse,
  watchHandler,
  type Captured,
  type DetachedRequest,
  type TapOutcome,
} from '../../../src/http/wire/index.js';
import { ask } from './wire.client.js';
import { PLATFORMS, fastifyOf } from './wire.application.js';

function deferred(): { promise: Promise<void>; resolve(): void } {
  let resolve!: () => void;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}

const seen: string[] = [];
const contexts: unknown[] = [];
const als = new AsyncLocalStorage<string>();
let refresh: Promise<TapOutcome> | undefined;
let entered = deferred();
let open = deferred();
let abortable: AbortController | undefined;
let lastResponse: ServerResponse;

@Injectable({ scope: Scope.REQUEST })
class Fresh {
  constructor(@Inject(REQUEST) readonly request: object) {}
}

@Injectable()
class Denies implements CanActivate {
  canActivate(): boolean {
    throw new ForbiddenException('guard');
  }
}

@Injectable()
class Guarded implements CanActivate {
  canActivate(): boolean {
    seen.push('guard');
    return true;
  }
}

/** Answers a client and refreshes behind its back; taps what is dispatched. */
@Injectable()
class Refreshing implements NestInterceptor {
  constructor(private readonly host: HttpAdapterHost) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const http = context.switchToHttp();
    const request = http.getRequest<object>();
    const task = detachedTaskOf(request);
    if (task === undefined) {
      seen.push('client');
      refresh = dispatchDetached(this.host.httpAdapter, {
        request: detachedRequestOf(request),
        task: 'refresh',
        ...(abortable && { signal: abortable.signal }),
      });
      return next.handle();
    }
    seen.push(`interceptor ${String(task)}`);
    const response = http.getResponse<object>();
    lastResponse = rawResponseOf(response);
    const tap = tapResponse(lastResponse, { maxBytes: 10 << 20, baseline: baselineOf(response) });
    return next.handle().pipe(watchHandler(tap));
  }
}

@Controller()
@UseGuards(Guarded)
@UseInterceptors(Refreshing)
class Work {
  constructor(private readonly fresh: Fresh) {
    contexts.push(this);
  }

  @Get('work')
  work(@Query('n', ParseIntPipe) n: number, @Req() request: object) {
    const { ip, hostname, protocol, url, headers, method } = request as Record<string, unknown>;
    seen.push(`handler ${als.getStore() ?? 'outside'}`);
    expect(rawRequestOf(this.fresh.request)).toBe(rawRequestOf(request));
    return { n, ip, hostname, protocol, url, method, custom: (headers as Record<string, string>)['x-custom'] };
  }

  @Get('big')
  big() {
    return new StreamableFile(Readable.from(Array.from({ length: 80 }, () => Buffer.alloc(1 << 16, 'x'))));
  }

  @Get('web')
  web() {
    return new Response('web', { headers: { 'content-type': 'text/x-web' } });
  }

  @Get('none')
  none(@Res({ passthrough: true }) response: { status(code: number): unknown }) {
    response.status(204);
  }

  @Get('fails')
  fails() {
    throw new HttpException('no', 503);
  }

  @Get('hangs')
  async hangs(@Req() request: object, @Res({ passthrough: true }) response: object) {
    if (detachedTaskOf(request) === undefined) return 'client';
    rawRequestOf(request).once('close', () => seen.push('request closed'));
    rawResponseOf(response).once('close', () => seen.push('response closed'));
    entered.resolve();
    await open.promise;
    return 'too late';
  }

  @Get('halfway')
  halfway(@Req() request: object) {
    if (detachedTaskOf(request) === undefined) return 'client';
    return new StreamableFile(
      Readable.from(
        (async function* () {
          yield 'half';
          entered.resolve();
          await open.promise;
          yield 'never';
        })(),
      ),
    );
  }

  @Get('denied')
  @UseGuards(Denies)
  denied() {}
}

describe.each(PLATFORMS)('a detached dispatch on %s', (platform: Platform) => {
  let app: INestApplication;
  let url: string;
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown) => unhandled.push(reason);

  const prepare = async (listen: boolean) => {
    const testing = await Test.createTestingModule({ controllers: [Work], providers: [Fresh, Refreshing] }).compile();
    if (platform === 'express') {
      app = testing.createNestApplication(new ExpressAdapter());
      (app.getHttpAdapter().getInstance() as { set(name: string, value: unknown): void }).set(
        'trust proxy',
        'loopback',
      );
    } else {
      app = testing.createNestApplication(new FastifyAdapter({ trustProxy: 'loopback' }));
      fastifyOf(app).addHook('onResponse', async () => void seen.push('onResponse'));
    }
    app.use((request: IncomingMessage, _: ServerResponse, next: () => void) => {
      seen.push('middleware');
      if (detachedTaskOf(request) === undefined) als.run('client', next);
      else next();
    });
    if (listen) {
      await app.listen(0, '127.0.0.1');
      url = `http://127.0.0.1:${(app.getHttpServer() as { address(): { port: number } }).address().port}`;
    } else {
      await app.init();
      if (platform === 'fastify') await (app.getHttpAdapter().getInstance() as { ready(): Promise<unknown> }).ready();
    }
  };
  const dispatch = (path: string, more: Partial<DetachedRequest> = {}, signal?: AbortSignal) =>
    dispatchDetached(app.getHttpAdapter(), {
      request: {
        method: 'GET',
        url: path,
        headers: { host: 'example.test' },
        remoteAddress: '192.0.2.7',
        remotePort: 4711,
        encrypted: false,
        ...more,
      },
      task: 'refresh',
      ...(signal && { signal }),
    });

  beforeEach(() => {
    seen.length = 0;
    contexts.length = 0;
    unhandled.length = 0;
    refresh = undefined;
    abortable = undefined;
    entered = deferred();
    open = deferred();
    process.on('unhandledRejection', onUnhandled);
    process.on('uncaughtException', onUnhandled);
  });
  afterEach(async () => {
    open.resolve();
    await app.close();
    await turn();
    process.off('unhandledRejection', onUnhandled);
    process.off('uncaughtException', onUnhandled);
    expect(unhandled).toEqual([]);
  });

  it('runs everything again, behind the back of a client that is answered once', async () => {
    await prepare(true);
    const received = await ask(`${url}/work?n=5`, { headers: { 'x-custom': 'yes', host: 'shop.test' } });
    const outcome = (await refresh) as Captured;
    expect(outcome.body.equals(received.body)).toBe(true);
    expect(outcome).toMatchObject({ status: 200, headers: { 'content-length': received.headers['content-length'] } });
    expect(JSON.parse(outcome.body.toString())).toEqual({
      n: 5,
      ip: '127.0.0.1',
      hostname: 'shop.test',
      protocol: 'http',
      url: '/work?n=5',
      method: 'GET',
      custom: 'yes',
    });
    expect(seen.filter((line) => line !== 'onResponse').sort()).toEqual(
      [
        'middleware',
        'guard',
        'client',
        'handler client',
        'middleware',
        'guard',
        'interceptor refresh',
        'handler outside',
      ].sort(),
    );
    expect(contexts).toHaveLength(2);
  });

  it('works on a server that does not listen, with the peer it is given', async () => {
    await prepare(false);
    const outcome = (await dispatch('/work?n=1', {
      remoteAddress: '127.0.0.1',
      encrypted: true,
      headers: {
        host: 'example.test',
        'x-forwarded-for': '198.51.100.9',
        'content-type': 'application/json',
        'content-length': '10',
      },
    })) as Captured;
    expect(JSON.parse(outcome.body.toString())).toMatchObject({ ip: '198.51.100.9', protocol: 'https' });
    const direct = (await dispatch('/work?n=1')) as Captured;
    expect(JSON.parse(direct.body.toString())).toMatchObject({ ip: '192.0.2.7', protocol: 'http' });
  });

  it('a mount path is no part of what is lost', () => {
    expect(detachedRequestOf({ method: 'GET', url: '/b', originalUrl: '/a/b', headers: {} })).toMatchObject({
      url: '/a/b',
    });
  });

  it('ends as a response does: finish, then close', async () => {
    await prepare(false);
    const running = dispatch('/hangs');
    await entered.promise;
    const events: string[] = [];
    lastResponse.on('finish', () =>
      events.push(`finish ${lastResponse.writableEnded} ${lastResponse.writableFinished}`),
    );
    lastResponse.on('close', () => events.push(`close ${lastResponse.destroyed} ${lastResponse.socket}`));
    open.resolve();
    expect(((await running) as Captured).body.toString()).toBe('too late');
    await turn();
    await turn();
    expect(events).toEqual(['finish true true', 'close true null']);
    expect(lastResponse.req).toMatchObject({ aborted: false, readableEnded: true, destroyed: true });
    if (platform === 'fastify') expect(seen).toContain('onResponse');
  });

  it.each([
    ['/big', 200, 80 << 16],
    ['/web', 200, 3],
    ['/none', 204, 0],
    ['/fails', 503, undefined],
    ['/work?n=x', 400, undefined],
  ])('%s is captured with its status', async (path, status, length) => {
    await prepare(false);
    const outcome = (await dispatch(path)) as Captured;
    expect(outcome.status).toBe(status);
    if (length === undefined) expect(outcome.body.toString()).toContain('statusCode');
    else expect(outcome.body).toHaveLength(length);
  });

  it('HEAD has no body', async () => {
    await prepare(false);
    const outcome = (await dispatch('/work?n=5', { method: 'HEAD' })) as Captured;
    expect(outcome).toMatchObject({ status: 200, body: Buffer.alloc(0) });
    expect(Number(outcome.headers['content-length'])).toBeGreaterThan(10);
  });

  it.each([
    ['/denied', 403],
    ['/nowhere', 404],
  ])('%s does not reach the interceptor', async (path, status) => {
    await prepare(false);
    expect(await dispatch(path)).toEqual({ reason: 'not-reached', status });
  });

  it('a signal stops it: the handler sees its client leave, what it answers later goes nowhere', async () => {
    await prepare(false);
    const controller = new AbortController();
    const running = dispatch('/hangs', {}, controller.signal);
    await entered.promise;
    controller.abort(new Error('deadline'));
    expect(await running).toEqual({ reason: 'timeout', error: new Error('deadline') });
    await turn();
    await turn();
    expect(seen).toEqual(expect.arrayContaining(['request closed', 'response closed']));
    open.resolve();
    await turn();
    await turn();
  });

  it('a signal stops a stream half-way', async () => {
    await prepare(false);
    const controller = new AbortController();
    const running = dispatch('/halfway', {}, controller.signal);
    await entered.promise;
    controller.abort();
    expect(await running).toMatchObject({ reason: 'timeout' });
  });

  it('a signal that has fired already starts nothing', async () => {
    await prepare(false);
    expect(await dispatch('/work?n=1', {}, AbortSignal.abort())).toMatchObject({ reason: 'timeout' });
    expect(seen).toEqual([]);
  });

  it('leaves no listener on a signal, no socket and no timer', async () => {
    await prepare(false);
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = ((...args: Parameters<typeof add>) => void (listeners++, add(...args))) as never;
    signal.removeEventListener = ((...args: Parameters<typeof remove>) => void (listeners--, remove(...args))) as never;
    const before = process.getActiveResourcesInfo().sort();
    for (const path of ['/work?n=1', '/denied', '/big', '/fails']) await dispatch(path, {}, signal);
    await turn();
    expect(listeners).toBe(0);
    expect(process.getActiveResourcesInfo().filter((kind) => !before.includes(kind))).toEqual([]);
    expect(lastResponse.req.destroyed).toBe(true);
  });
});
