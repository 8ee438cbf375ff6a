import {
  Catch,
  Controller,
  ForbiddenException,
  Get,
  Header,
  HttpCode,
  Redirect,
  Render,
  Sse,
  StreamableFile,
  UseFilters,
  UseInterceptors,
  type ArgumentsHost,
  type CallHandler,
  type ExceptionFilter,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { ServerResponse } from 'node:http';
import { gunzipSync, gzipSync } from 'node:zlib';
import { delay, map, of, take, tap, type Observable } from 'rxjs';
import { afterEach, describe, expect, it } from 'vitest';
import { closeAll } from '../../nest/boot.js';
import { ownHeaders, patchAdapter, type Answer, type Captured } from '../../../src/http/wire/index.js';
import { ask, steady } from './wire.client.js';
import { PLATFORMS, WireInterceptor, fastifyOf, onHeaders, serveWire, type Wire } from './wire.application.js';

let runs = 0;

@Catch(ForbiddenException)
class RedirectingFilter implements ExceptionFilter {
  constructor(private readonly host: HttpAdapterHost) {}

  catch(_: ForbiddenException, host: ArgumentsHost): void {
    this.host.httpAdapter.redirect(host.switchToHttp().getResponse(), 302, '/login');
  }
}

@Catch(ForbiddenException)
class StatusFilter implements ExceptionFilter {
  constructor(private readonly host: HttpAdapterHost) {}

  catch(_: ForbiddenException, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<object>();
    this.host.httpAdapter.status(response, 451);
    (this.host.httpAdapter as { reply(response: unknown, body: unknown): unknown }).reply(response, { own: 'filter' });
  }
}

@Catch(ForbiddenException)
class PlainFilter implements ExceptionFilter {
  constructor(private readonly host: HttpAdapterHost) {}

  catch(_: ForbiddenException, host: ArgumentsHost): void {
    const adapter = this.host.httpAdapter as { reply(response: unknown, body: unknown): unknown };
    adapter.reply(host.switchToHttp().getResponse(), { own: 'plain' });
  }
}

@Controller()
@UseInterceptors(WireInterceptor)
class Pages {
  @Get('json')
  @Header('x-static', 'route')
  json() {
    runs += 1;
    return { name: 'žluťoučký kůň' };
  }

  @Get('text')
  text() {
    runs += 1;
    return 'žluťoučký kůň';
  }

  @Get('html')
  @Header('content-type', 'text/html')
  html() {
    runs += 1;
    return '<p>';
  }

  @Get('empty')
  empty() {
    runs += 1;
  }

  @Get('created')
  @HttpCode(201)
  created() {
    runs += 1;
    return { created: true };
  }

  @Get('none')
  @HttpCode(204)
  none() {
    runs += 1;
  }

  @Get('moved')
  @Redirect('/json', 301)
  moved() {
    runs += 1;
  }

  @Get('moved-elsewhere')
  @Redirect('/json')
  movedElsewhere() {
    runs += 1;
    return { url: '/elsewhere', statusCode: 307 };
  }

  @Get('file')
  file() {
    runs += 1;
    return new StreamableFile(Buffer.from([0, 255, 1, 254]), { type: 'image/png', disposition: 'inline' });
  }

  @Get('web')
  web() {
    runs += 1;
    return new Response('<x/>', { status: 203, headers: { 'content-type': 'application/xml', 'x-web': '1' } });
  }

  @Get('missing')
  missing() {
    runs += 1;
    throw new ForbiddenException({ reason: 'none of yours' });
  }

  @Get('view')
  @Render('view')
  view() {
    runs += 1;
    return {};
  }

  @Get('redirecting-filter')
  @UseFilters(RedirectingFilter)
  redirectingFilter() {}

  @Get('redirecting-filter-of-redirect')
  @Redirect('/json')
  @UseFilters(RedirectingFilter)
  redirectingFilterOfRedirect() {}

  @Get('plain-filter-of-redirect')
  @Redirect('/json')
  @UseFilters(PlainFilter)
  plainFilterOfRedirect() {}

  @Get('gone')
  @HttpCode(410)
  gone() {
    return {};
  }

  @Get('status-filter')
  @UseFilters(StatusFilter)
  statusFilter() {}

  @Sse('events')
  events() {
    return of({ data: 1 });
  }
}

const page = (wire: Wire, captured: Captured): Answer => ({
  status: captured.status,
  headers: ownHeaders(captured, wire.baselines.at(-1)!),
  body: captured.body,
});

const STORED: Answer = {
  status: 200,
  headers: { 'content-type': 'application/json', etag: '"stored"', 'x-many': ['a', 'b'] },
  body: Buffer.from('{"stored":true}'),
};

const outer =
  (wrap: (source: Observable<unknown>, context: ExecutionContext) => Observable<unknown>) =>
  (app: INestApplication) => {
    app.useGlobalInterceptors({
      intercept: (context: ExecutionContext, next: CallHandler) => wrap(next.handle(), context),
    } satisfies NestInterceptor);
  };

describe.each(PLATFORMS)('a stored response on %s', (platform) => {
  afterEach(closeAll);

  it.each(['json', 'text', 'html', 'empty', 'created', 'none', 'moved', 'moved-elsewhere', 'file', 'web', 'missing'])(
    '%s: the answer is the one of the miss, and the handler does not run',
    async (path) => {
      const { wire, url } = await serveWire(platform, [Pages]);
      const miss = await ask(`${url}/${path}`);
      wire.answer = page(wire, (await wire.outcome) as Captured);
      runs = 0;
      const hit = await ask(`${url}/${path}`);
      if (path === 'web') {
        // A length that is known is told.
        delete miss.headers['transfer-encoding'];
        miss.headers['content-length'] = String(miss.body.length);
      }
      expect({ ...hit, headers: steady(hit.headers) }).toEqual({ ...miss, headers: steady(miss.headers) });
      expect(runs).toBe(0);
    },
  );

  it('@Render: bytes, no view engine', async () => {
    const { wire, url } = await serveWire(platform, [Pages]);
    wire.answer = { status: 200, headers: { 'content-type': 'text/html' }, body: Buffer.from('<p>stored</p>') };
    const hit = await ask(`${url}/view`);
    expect(hit.body.toString()).toBe('<p>stored</p>');
    expect(hit.headers['content-type']).toBe('text/html');
  });

  it('makes no validator, names no type or charset, keeps several lines of a field', async () => {
    const { wire, url } = await serveWire(platform, [Pages]);
    wire.answer = STORED;
    const hit = await ask(`${url}/json`);
    expect(hit.headers).toMatchObject({
      'content-type': 'application/json',
      etag: '"stored"',
      'content-length': '15',
      'x-many': 'a, b',
      'x-static': 'route',
    });
    wire.answer = { status: 200, headers: {}, body: Buffer.from('untyped') };
    const untyped = await ask(`${url}/json`);
    expect(untyped.body.toString()).toBe('untyped');
    expect(untyped.headers).toMatchObject({ 'content-length': '7' });
    expect(untyped.headers).not.toHaveProperty('content-type');
    expect(untyped.headers).not.toHaveProperty('etag');
  });

  it('a stored field wins over a static one, connection fields are not replayed', async () => {
    const { wire, url } = await serveWire(platform, [Pages]);
    wire.answer = {
      ...STORED,
      headers: { 'x-static': 'stored', 'transfer-encoding': 'chunked', 'content-length': '3', trailer: 'x' },
    };
    const hit = await ask(`${url}/json`);
    expect(hit.headers).toMatchObject({ 'x-static': 'stored', 'content-length': '15' });
    expect(hit.headers).not.toHaveProperty('transfer-encoding');
    expect(hit.headers).not.toHaveProperty('trailer');
  });

  it('HEAD: the length of the body given, or the one stored', async () => {
    const { wire, url } = await serveWire(platform, [Pages]);
    wire.answer = STORED;
    const whole = await ask(`${url}/json`, { method: 'HEAD' });
    expect(whole).toMatchObject({ status: 200, headers: { 'content-length': '15', etag: '"stored"' } });
    wire.answer = { status: 200, headers: { 'content-length': '99', 'content-type': 'text/x' } };
    const bare = await ask(`${url}/json`, { method: 'HEAD' });
    expect(bare.headers).toMatchObject({ 'content-length': '99', 'content-type': 'text/x' });
    expect(Buffer.concat([whole.body, bare.body])).toHaveLength(0);
  });

  it('304: no body and no fields of one', async () => {
    const { wire, url } = await serveWire(platform, [Pages]);
    wire.answer = { ...STORED, status: 304 };
    const hit = await ask(`${url}/html`);
    expect(hit.status).toBe(304);
    expect(hit.body).toHaveLength(0);
    expect(hit.headers).toMatchObject({ etag: '"stored"' });
    expect(hit.headers).not.toHaveProperty('content-type');
    expect(hit.headers).not.toHaveProperty('content-length');
  });

  it('206: a slice', async () => {
    const { wire, url } = await serveWire(platform, [Pages]);
    wire.answer = {
      status: 206,
      headers: { 'content-range': 'bytes 2-4/15', 'content-type': 'application/json' },
      body: STORED.body!.subarray(2, 5),
    };
    const hit = await ask(`${url}/json`);
    expect(hit).toMatchObject({ status: 206, headers: { 'content-range': 'bytes 2-4/15', 'content-length': '3' } });
    expect(hit.body.toString()).toBe('sto');
  });

  it.each<[string, (source: Observable<unknown>) => Observable<unknown>]>([
    ['wraps it', (source) => source.pipe(map((data) => ({ data })))],
    ['copies it', (source) => source.pipe(map((data) => ({ ...(data as object), serialized: true })))],
    ['makes it a string', (source) => source.pipe(map((data) => String(data)))],
    ['makes it nothing', (source) => source.pipe(map(() => undefined))],
    ['takes one', (source) => source.pipe(take(1))],
    ['waits', (source) => source.pipe(delay(5))],
  ])('an outer interceptor that %s changes nothing', async (_, wrap) => {
    const { wire, url } = await serveWire(platform, [Pages], outer(wrap));
    wire.answer = STORED;
    const hit = await ask(`${url}/json`);
    expect(hit.body.toString()).toBe('{"stored":true}');
    expect(hit).toMatchObject({ status: 200, headers: { etag: '"stored"', 'content-type': 'application/json' } });
    wire.answer = { ...STORED, status: 404 };
    expect(await ask(`${url}/created`)).toMatchObject({ status: 404, body: STORED.body });
    expect(await ask(`${url}/gone`)).toMatchObject({ status: 404, body: STORED.body });
    wire.answer = { status: 301, headers: { location: '/x' }, body: Buffer.from('moved') };
    expect(await ask(`${url}/moved`)).toMatchObject({ status: 301, headers: { location: '/x' } });
  });

  it('fields an outer interceptor sets go out, over stored ones', async () => {
    const { wire, url } = await serveWire(
      platform,
      [Pages],
      outer((source, context) =>
        source.pipe(
          tap(() => {
            const response = context.switchToHttp().getResponse<{ header(name: string, value: string): unknown }>();
            response.header('x-request-id', 'now');
            response.header('etag', '"outer"');
          }),
        ),
      ),
    );
    wire.answer = { ...STORED, headers: { ...STORED.headers, 'x-request-id': 'then' } };
    expect((await ask(`${url}/json`)).headers).toMatchObject({ 'x-request-id': 'now', etag: '"outer"' });
  });

  const denied = outer((source) =>
    source.pipe(
      map(() => {
        throw new ForbiddenException('outer');
      }),
    ),
  );

  it.each(['json', 'created', 'moved', 'view'])('%s: an outer interceptor that throws is answered', async (path) => {
    const { wire, url } = await serveWire(platform, [Pages], denied);
    wire.answer = STORED;
    const received = await ask(`${url}/${path}`);
    expect(received.status).toBe(403);
    expect(JSON.parse(received.body.toString())).toMatchObject({ message: 'outer' });
    expect(received.headers).not.toHaveProperty('x-many');
  });

  it.each([
    ['redirecting-filter', 302, ''],
    ['redirecting-filter-of-redirect', 302, ''],
    ['plain-filter-of-redirect', 200, '{"own":"plain"}'],
    ['status-filter', 451, '{"own":"filter"}'],
  ])('%s: so it is when the filter answers in its own way', async (path, status, body) => {
    const { wire, url } = await serveWire(platform, [Pages], denied);
    wire.answer = STORED;
    const received = await ask(`${url}/${path}`);
    expect(received.status).toBe(status);
    expect(received.body.toString()).not.toContain('stored');
    expect(received.body.toString()).toContain(body);
  });

  it('an outer interceptor that answers with a Response of its own is answered', async () => {
    const { wire, url } = await serveWire(
      platform,
      [Pages],
      outer((source) => source.pipe(map(() => new Response('mine', { status: 202 })))),
    );
    wire.answer = STORED;
    expect(await ask(`${url}/json`)).toMatchObject({ status: 202, body: Buffer.from('mine') });
  });

  it('@Sse cannot be answered', async () => {
    const { wire, url } = await serveWire(platform, [Pages]);
    wire.answer = STORED;
    expect((await ask(`${url}/events`)).status).toBe(500);
  });

  it('an adapter is patched once', async () => {
    const { app, wire, url } = await serveWire(platform, [Pages]);
    wire.answer = STORED;
    await ask(`${url}/json`);
    const adapter = app.getHttpAdapter();
    const { reply } = adapter;
    patchAdapter(adapter);
    expect(adapter.reply).toBe(reply);
    wire.answer = undefined;
    expect((await ask(`${url}/json`)).body.toString()).toContain('kůň');
  });

  it('listeners on the head and middleware run for it', async () => {
    const { wire, url } = await serveWire(platform, [Pages], (app) =>
      app.use((_: unknown, response: ServerResponse, next: () => void) => {
        response.setHeader('x-middleware', 'now');
        onHeaders(response, function () {
          this.setHeader('set-cookie', 'id=1');
        });
        next();
      }),
    );
    wire.answer = STORED;
    expect((await ask(`${url}/json`)).headers).toMatchObject({ 'x-middleware': 'now', 'set-cookie': ['id=1'] });
  });
});

describe('compression of a stored response', () => {
  afterEach(closeAll);

  it('Express: by middleware', async () => {
    const { wire, url } = await serveWire('express', [Pages], (app) =>
      app.use((_: unknown, response: ServerResponse, next: () => void) => {
        onHeaders(response, function () {
          this.removeHeader('content-length');
          this.setHeader('content-encoding', 'gzip');
        });
        const end = response.end as (...args: unknown[]) => ServerResponse;
        response.end = ((chunk: Buffer) => end.call(response, gzipSync(chunk))) as never;
        next();
      }),
    );
    wire.answer = STORED;
    const hit = await ask(`${url}/json`);
    expect(hit.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(hit.body).toString()).toBe('{"stored":true}');
  });

  it('Fastify: by onSend, and fields set by onRequest survive', async () => {
    const { wire, url } = await serveWire('fastify', [Pages], (app) => {
      type Reply = { header(name: string, value: string): unknown; removeHeader(name: string): unknown };
      fastifyOf(app).addHook('onRequest', async (_: unknown, reply: Reply) => {
        reply.header('access-control-allow-origin', '*');
      });
      fastifyOf(app).addHook('onSend', async (_: unknown, reply: Reply, payload: Buffer) => {
        reply.removeHeader('content-length');
        reply.header('content-encoding', 'gzip');
        return gzipSync(payload);
      });
    });
    wire.answer = STORED;
    const hit = await ask(`${url}/json`);
    expect(hit.headers).toMatchObject({ 'content-encoding': 'gzip', 'access-control-allow-origin': '*' });
    expect(gunzipSync(hit.body).toString()).toBe('{"stored":true}');
  });
});
