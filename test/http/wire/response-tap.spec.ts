import {
  Catch,
  Controller,
  Get,
  Header,
  HttpCode,
  NotFoundException,
  Redirect,
  Res,
  Sse,
  StreamableFile,
  UseFilters,
  UseInterceptors,
  type ArgumentsHost,
  type CallHandler,
  type ExceptionFilter,
  type ExecutionContext,
} from '@nestjs/common';
import { Agent, type ServerResponse } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { gzipSync, gunzipSync } from 'node:zlib';
import { Subject, map, of, take, throwError } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { closeAll, type Served } from '../../nest/boot.js';
import {
  isCaptured,
  ownHeaders,
  rawResponseOf,
  type Captured,
  type ResponseHead,
  type TapDecision,
} from '../../../src/http/wire/index.js';
import { ask, leaver, steady } from './wire.client.js';
import { PLATFORMS, WireInterceptor, fastifyOf, onHeaders, serveWire, type Wire } from './wire.application.js';

const BINARY = Buffer.from(Array.from({ length: 1024 }, (_, index) => index % 256));
const BIG = Buffer.alloc(5 << 20, 'abcdefg');

const gate = { entered: new Subject<void>(), open: new Subject<void>() };
const calls: string[] = [];
let source: PassThrough;

function hijacked(response: unknown): ServerResponse {
  (response as { hijack?: () => void }).hijack?.();
  return rawResponseOf(response);
}

/** Ends a response that an error has cut off, past the adapter. */
@Catch()
class EndingFilter implements ExceptionFilter {
  catch(_: unknown, host: ArgumentsHost): void {
    rawResponseOf(host.switchToHttp().getResponse()).end();
  }
}

@Controller()
@UseInterceptors(WireInterceptor)
class Bodies {
  @Get('json')
  @Header('x-static', 'yes')
  json() {
    return { name: 'žluťoučký kůň', list: [1, 2, 3] };
  }

  @Get('text')
  text() {
    return 'žluťoučký kůň';
  }

  @Get('empty')
  empty() {}

  @Get('created')
  @HttpCode(201)
  created() {
    return { created: true };
  }

  @Get('none')
  @HttpCode(204)
  none() {}

  @Get('moved')
  @Redirect('/json', 301)
  moved() {}

  @Get('file')
  file() {
    return new StreamableFile(BINARY, { type: 'image/png' });
  }

  @Get('stream')
  stream() {
    return new StreamableFile(Readable.from([BINARY, BINARY, Buffer.from('end')]), { type: 'application/x-parts' });
  }

  @Get('web')
  web() {
    return new Response(BINARY, { status: 203, headers: { 'content-type': 'image/gif', 'x-web': '1' } });
  }

  @Get('iterable')
  async *iterable() {
    yield 'one,';
    yield 'two';
  }

  @Get('big')
  big() {
    return new StreamableFile(BIG, { type: 'application/x-big' });
  }

  @Get('big-chunks')
  bigChunks() {
    return new StreamableFile(Readable.from([BIG.subarray(0, 3 << 20), BIG.subarray(3 << 20)]));
  }

  @Get('missing')
  missing() {
    throw new NotFoundException('no such thing');
  }

  @Get('failing')
  failing() {
    return throwError(() => new Error('broken'));
  }

  @Sse('events')
  events() {
    return of({ data: 'one' }, { data: 'two' });
  }

  @Get('dated')
  dated(@Res({ passthrough: true }) response: unknown) {
    rawResponseOf(response).setHeader('date', 'Fri, 02 Jan 2026 00:00:00 GMT');
    return 'dated';
  }

  @Get('raw/strings')
  rawStrings(@Res() response: unknown) {
    const out = hijacked(response);
    out.writeHead(200, 'Fine', ['Content-Type', 'text/plain', 'X-Many', 'a', 'x-many', 'b']);
    calls.push(`sent ${out.headersSent}`);
    out.write('e9', 'hex', () => calls.push('write'));
    out.write('ž');
    out.write(new Uint8Array([1, 2, 3]));
    const reused = Buffer.from('reused');
    out.write(reused, () => reused.fill('x'));
    out.end('ÿ', 'latin1', () => calls.push('end'));
  }

  @Get('raw/flushed')
  rawFlushed(@Res() response: unknown) {
    const out = hijacked(response);
    out.setHeader('content-type', 'text/plain');
    out.flushHeaders();
    calls.push(`sent ${out.headersSent}`);
    setImmediate(() => out.end('later'));
  }

  @Get('raw/pressure')
  rawPressure(@Res() response: unknown) {
    const out = hijacked(response);
    calls.push(`write ${out.write(Buffer.alloc(1 << 20))}`);
    out.once('drain', () => {
      calls.push('drain');
      out.end();
    });
  }

  @Get('raw/length')
  rawLength(@Res() response: unknown) {
    const out = hijacked(response);
    out.writeHead(200, { 'content-length': '10' });
    out.end('short');
  }

  @Get('raw/trailers')
  rawTrailers(@Res() response: unknown) {
    const out = hijacked(response);
    out.writeHead(200, { trailer: 'x-sum' });
    out.write('body');
    out.addTrailers({ 'x-sum': '42' });
    out.end();
  }

  @Get('raw/invalid')
  rawInvalid(@Res() response: unknown) {
    const out = hijacked(response);
    for (const attempt of [
      () => out.writeHead(99),
      () => out.writeHead(200, { 'bad name': '1' }),
      () => out.write(42 as never),
      () => out.end({} as never),
    ]) {
      try {
        attempt();
        calls.push('nothing');
      } catch (error) {
        calls.push((error as { code: string }).code);
      }
    }
    out.end('valid');
    try {
      out.writeHead(200);
    } catch (error) {
      calls.push((error as { code: string }).code);
    }
  }

  @Get('raw/reused')
  rawReused(@Res() response: unknown) {
    const out = hijacked(response);
    const reused = Buffer.from('reused');
    out.write(reused, () => {
      reused.fill('x');
      out.end();
    });
  }

  @Get('raw/undeclared-trailers')
  rawUndeclaredTrailers(@Res() response: unknown) {
    const out = hijacked(response);
    out.write('body');
    out.addTrailers({ 'x-sum': '42' });
    out.end();
  }

  @Get('raw/declared-trailers')
  rawDeclaredTrailers(@Res() response: unknown) {
    hijacked(response).writeHead(200, { trailer: 'x-sum', 'transfer-encoding': 'chunked' }).end('body');
  }

  @Get('raw/ended-early')
  rawEndedEarly(@Res() response: unknown) {
    const out = hijacked(response);
    const half = new PassThrough();
    half.pipe(out);
    half.write('half');
    setImmediate(() => out.end());
  }

  @Get('raw/unpiped')
  rawUnpiped(@Res() response: unknown) {
    const out = hijacked(response);
    const half = new PassThrough();
    half.pipe(out);
    half.write('half');
    setImmediate(() => half.unpipe(out) && out.end());
  }

  @Get('raw/half')
  rawHalf(@Res() response: unknown) {
    hijacked(response).write('half');
  }

  @Get('raw/late-field')
  rawLateField(@Res() response: unknown) {
    const out = hijacked(response);
    out.writeHead(200);
    setImmediate(() => {
      try {
        out.setHeader('x-late', '1');
      } catch (error) {
        calls.push((error as { code: string }).code);
      }
      out.end('late');
    });
  }

  @Get('raw/filtered')
  @UseFilters(EndingFilter)
  rawFiltered(@Res() response: unknown) {
    this.rawThrows(response);
  }

  @Get('raw/throws')
  rawThrows(@Res() response: unknown) {
    const out = hijacked(response);
    out.write('half');
    throw new Error('half-way');
  }

  @Get('slow')
  async slow() {
    gate.entered.next();
    await new Promise<void>((resolve) => gate.open.subscribe(() => resolve()));
    return { slow: true };
  }

  @Get('slow-observable')
  slowObservable() {
    gate.entered.next();
    return gate.open;
  }

  @Get('slow-stream')
  async slowStream() {
    gate.entered.next();
    await new Promise<void>((resolve) => gate.open.subscribe(() => resolve()));
    return new StreamableFile(Readable.from(['never']));
  }

  @Get('broken-stream')
  brokenStream() {
    source = new PassThrough();
    source.write('half');
    return new StreamableFile(source);
  }
}

const stored = (outcome: unknown): Captured => {
  expect(outcome).toHaveProperty('body');
  return outcome as Captured;
};

async function begun(wire: Wire): Promise<void> {
  while (!wire.taps[0]?.begun) await turn();
}

describe.each(PLATFORMS)('what the tap captures on %s', (platform) => {
  let served: Served & { wire: Wire };
  let wire: Wire;
  let url: string;

  beforeEach(async () => {
    calls.length = 0;
    served = await serveWire(platform, [Bodies]);
    ({ wire, url } = served);
  });
  afterEach(closeAll);

  it.each([
    'json',
    'text',
    'empty',
    'created',
    'none',
    'moved',
    'file',
    'stream',
    'web',
    'iterable',
    'missing',
    'failing',
    'raw/strings',
    'raw/flushed',
  ])('%s: byte for byte what the client gets, and the client gets what it would get', async (path) => {
    wire.untapped = true;
    const plain = await ask(`${url}/${path}`);
    wire.untapped = false;
    const received = await ask(`${url}/${path}`);
    if (path === 'raw/strings') plain.headers['x-many'] = 'a, b'; // Node 20 loses the first line on Express
    expect({ ...received, headers: steady(received.headers) }).toEqual({ ...plain, headers: steady(plain.headers) });
    const outcome = stored(await wire.outcome);
    expect(outcome.status).toBe(received.status);
    expect(outcome.body.equals(received.body)).toBe(true);
    expect(outcome.headers['content-type']).toBe(received.headers['content-type']);
    expect(outcome.addedLate).toEqual([]);
  });

  it('encodings, typed arrays, lists of headers, callbacks; a chunk may be used again', async () => {
    const received = await ask(`${url}/raw/strings`);
    const expected = Buffer.concat([
      Buffer.from([0xe9]),
      Buffer.from('ž'),
      Buffer.from([1, 2, 3]),
      Buffer.from('reused'),
      Buffer.from([0xff]),
    ]);
    const outcome = stored(await wire.outcome);
    expect(received.body.equals(expected)).toBe(true);
    expect(outcome.body.equals(expected)).toBe(true);
    expect(outcome.headers['x-many']).toEqual(['a', 'b']);
    expect(received.headers['x-many']).toBe('a, b');
    expect(calls).toEqual(['sent true', 'write', 'end']);
  });

  it('a chunk that is used again before the end', async () => {
    expect((await ask(`${url}/raw/reused`)).body.toString()).toBe('reused');
    expect(stored(await wire.outcome).body.toString()).toBe('reused');
  });

  it('after writeHead() it is too late for a field', async () => {
    expect((await ask(`${url}/raw/late-field`)).headers).not.toHaveProperty('x-late');
    expect(calls).toEqual(['ERR_HTTP_HEADERS_SENT']);
  });

  it('back-pressure reaches the handler', async () => {
    expect((await ask(`${url}/raw/pressure`)).body).toHaveLength(1 << 20);
    expect(calls).toEqual(['write false', 'drain']);
    expect(stored(await wire.outcome).body).toHaveLength(1 << 20);
  });

  it('what Node refuses is refused where it was called', async () => {
    expect((await ask(`${url}/raw/invalid`)).body.toString()).toBe('valid');
    expect(calls).toEqual([
      'ERR_HTTP_INVALID_STATUS_CODE',
      'ERR_INVALID_HTTP_TOKEN',
      'ERR_INVALID_ARG_TYPE',
      'ERR_INVALID_ARG_TYPE',
      'ERR_HTTP_HEADERS_SENT',
    ]);
    expect(stored(await wire.outcome).body.toString()).toBe('valid');
  });

  it('HEAD has headers and no body', async () => {
    const received = await ask(`${url}/json`, { method: 'HEAD' });
    const outcome = stored(await wire.outcome);
    expect(received.headers['content-length']).toBe(outcome.headers['content-length']);
    expect(Number(outcome.headers['content-length'])).toBeGreaterThan(10);
    expect(outcome.body).toHaveLength(0);
  });

  it('server-sent events pass, chunk by chunk', async () => {
    wire.decide = (head) => ({
      action: 'pass',
      capture: !String(head.headers['content-type']).startsWith('text/event-stream'),
    });
    const received = await ask(`${url}/events`);
    expect(received.body.toString()).toContain('data: two');
    expect(await wire.outcome).toEqual({ reason: 'declined', status: 200 });
  });

  it.each(['big', 'big-chunks'])(
    '%s: five megabytes over the limit go through whole and are not kept',
    async (path) => {
      const received = await ask(`${url}/${path}`);
      expect(received.body.equals(BIG)).toBe(true);
      expect(await wire.outcome).toEqual({ reason: 'too-large', status: 200 });
    },
  );

  it('decide sees no body over the limit', async () => {
    const seen: Array<number | undefined> = [];
    wire.maxBytes = 10;
    wire.decide = (_, body) => {
      seen.push(body?.length);
      return { action: 'pass' };
    };
    await ask(`${url}/json`);
    expect(await wire.outcome).toMatchObject({ reason: 'too-large' });
    expect(seen).toEqual([undefined]);
  });

  it('a body that ends before its Content-Length is aborted', async () => {
    await ask(`${url}/raw/length`).catch(() => undefined);
    expect(await wire.outcome).toMatchObject({ reason: 'aborted' });
  });

  it('trailers reach the client and make it unusable', async () => {
    expect((await ask(`${url}/raw/trailers`)).trailers).toEqual({ 'x-sum': '42' });
    expect(await wire.outcome).toMatchObject({ reason: 'trailers' });
  });

  it.each(['raw/undeclared-trailers', 'raw/declared-trailers'])('%s are trailers, too', async (path) => {
    expect((await ask(`${url}/${path}`)).body.toString()).toBe('body');
    expect(await wire.outcome).toMatchObject({ reason: 'trailers' });
  });

  it.each(['raw/ended-early', 'raw/unpiped', 'raw/filtered'])(
    '%s looks whole to the client and is not',
    async (path) => {
      expect(await ask(`${url}/${path}`)).toMatchObject({ body: Buffer.from('half'), broken: false });
      expect(await wire.outcome).toMatchObject({ reason: 'aborted' });
    },
  );

  it('a client that leaves while the handler writes aborts it', async () => {
    const client = leaver(`${url}/raw/half`);
    await begun(wire);
    client.leave();
    expect(await wire.outcome).toMatchObject({ reason: 'aborted' });
  });

  it('a handler that fails half-way leaves nothing, though its response is ended in good order', async () => {
    const received = await ask(`${url}/raw/throws`);
    expect(received.body.toString()).toBe('half');
    expect(await wire.outcome).toMatchObject({ reason: 'aborted' });
  });

  it('a stream that breaks half-way is aborted', async () => {
    const received = ask(`${url}/broken-stream`);
    await begun(wire);
    source.destroy(new Error('disk'));
    expect((await received).broken).toBe(true);
    expect(await wire.outcome).toMatchObject({ reason: 'aborted' });
  });

  it('a client that leaves a stream half-way aborts it', async () => {
    const client = leaver(`${url}/broken-stream`);
    await begun(wire);
    client.leave();
    expect(await wire.outcome).toMatchObject({ reason: 'aborted' });
  });

  const disconnected = async (path: string) => {
    const entered = new Promise<void>((resolve) => gate.entered.subscribe(() => resolve()));
    const client = leaver(`${url}/${path}`);
    await entered;
    const { response } = wire.taps[0]!;
    const closed = new Promise<void>((resolve) => response.once('close', resolve));
    client.leave();
    await closed;
  };

  it('a client that leaves before anything is written does not spoil the capture', async () => {
    await disconnected('slow');
    gate.open.next();
    expect(JSON.parse(stored(await wire.outcome).body.toString())).toEqual({ slow: true });
  });

  it('an Observable that Nest tears down with the client is aborted', async () => {
    await disconnected('slow-observable');
    expect(await wire.outcome).toEqual({ reason: 'aborted', hasClientLeft: true });
  });

  it('a stream that Nest does not send to a client that has left is aborted', async () => {
    await disconnected('slow-stream');
    gate.open.next();
    expect(await wire.outcome).toMatchObject({ reason: 'aborted' });
  });

  describe('decide', () => {
    const changes: TapDecision = {
      action: 'pass',
      headers: { etag: '"mine"', 'cache-control': 'max-age=5', 'x-static': undefined },
    };

    it.each(['json', 'stream', 'raw/strings', 'missing'])('changes the headers of %s on the way out', async (path) => {
      wire.decide = () => changes;
      const received = await ask(`${url}/${path}`);
      expect(received.headers).toMatchObject({ etag: '"mine"', 'cache-control': 'max-age=5' });
      expect(received.headers).not.toHaveProperty('x-static');
      const outcome = stored(await wire.outcome);
      expect(outcome.headers).not.toHaveProperty('cache-control');
      expect(outcome.addedLate).toEqual([]);
    });

    it('sees status, headers and the whole body once, before anything is sent', async () => {
      const seen: Array<[ResponseHead, string | undefined, boolean]> = [];
      wire.decide = (head, body) => {
        seen.push([head, body?.toString(), wire.taps[0]?.response.writableEnded ?? false]);
        return { action: 'pass' };
      };
      const received = await ask(`${url}/created`);
      expect(seen).toHaveLength(1);
      expect(seen[0]![0]).toMatchObject({ status: 201, headers: { 'content-length': '16' } });
      expect(seen[0]![1]).toBe(received.body.toString());
    });

    it('a 304 in place of the whole body: the body is captured', async () => {
      wire.decide = (head) => ({
        action: 'swallow',
        replaceWith: () => ({ status: 304, headers: { etag: '"x"', vary: head.headers['vary'] } }),
      });
      const received = await ask(`${url}/json`);
      expect(received.status).toBe(304);
      expect(received.body).toHaveLength(0);
      expect(received.headers).toMatchObject({ etag: '"x"', 'x-static': 'yes' });
      expect(received.headers).not.toHaveProperty('content-type');
      expect(received.headers).not.toHaveProperty('content-length');
      const outcome = stored(await wire.outcome);
      expect(outcome.status).toBe(200);
      expect(outcome.body.toString()).toContain('kůň');
    });

    it.each(['json', 'stream', 'missing', 'failing', 'raw/strings', 'raw/flushed', 'raw/trailers', 'moved', 'none'])(
      'another response in place of %s',
      async (path) => {
        let seen: unknown;
        wire.decide = () => ({
          action: 'swallow',
          replaceWith: (outcome) => {
            seen = outcome;
            return { status: 200, headers: { 'content-type': 'text/stale', age: '9' }, body: Buffer.from('stale') };
          },
        });
        const received = await ask(`${url}/${path}`);
        expect(received).toMatchObject({ status: 200, trailers: {}, broken: false });
        expect(received.body.toString()).toBe('stale');
        expect(received.headers).toMatchObject({ 'content-type': 'text/stale', age: '9', 'content-length': '5' });
        expect(received.headers).not.toHaveProperty('location');
        expect(await wire.outcome).toEqual(seen);
      },
    );

    it('callbacks and headersSent of a swallowed response are as if it had been sent', async () => {
      wire.decide = () => ({ action: 'swallow', replaceWith: () => ({ status: 200, headers: {} }) });
      expect((await ask(`${url}/raw/strings`)).headers['content-length']).toBe('0');
      expect(calls).toEqual(['sent true', 'write', 'end']);
    });

    it('a stream that breaks is replaced', async () => {
      wire.decide = () => ({
        action: 'swallow',
        replaceWith: (outcome) => ({
          status: 200,
          headers: {},
          body: Buffer.from(isCaptured(outcome) ? 'no' : 'stale'),
        }),
      });
      const received = ask(`${url}/broken-stream`);
      await begun(wire);
      source.destroy(new Error('disk'));
      expect((await received).body.toString()).toBe('stale');
      expect(await wire.outcome).toMatchObject({ reason: 'aborted' });
    });

    it('HEAD of a replaced response has the length of its body', async () => {
      wire.decide = () => ({
        action: 'swallow',
        replaceWith: () => ({ status: 200, headers: {}, body: Buffer.from('stale') }),
      });
      const received = await ask(`${url}/json`, { method: 'HEAD' });
      expect(received.headers['content-length']).toBe('5');
      expect(received.body).toHaveLength(0);
    });

    it('several responses on one connection keep their frames', async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const decisions: TapDecision[] = [
        { action: 'swallow', replaceWith: () => ({ status: 304, headers: { etag: '"x"' } }) },
        { action: 'pass' },
        { action: 'swallow', replaceWith: () => ({ status: 200, headers: {}, body: Buffer.from('stale') }) },
        { action: 'pass' },
      ];
      wire.decide = () => decisions.shift()!;
      const received: string[] = [];
      for (const path of ['dated', 'json', 'stream', 'text']) {
        const { status, body, headers } = await ask(`${url}/${path}`, { agent });
        received.push(`${status} ${body.length} ${headers.connection} ${headers.date !== undefined}`);
      }
      agent.destroy();
      expect(received).toEqual([
        '304 0 keep-alive true',
        `200 ${Buffer.byteLength('{"name":"žluťoučký kůň","list":[1,2,3]}')} keep-alive true`,
        '200 5 keep-alive true',
        `200 ${Buffer.byteLength('žluťoučký kůň')} keep-alive true`,
      ]);
    });

    it('when it throws, the response goes out and nothing is kept', async () => {
      wire.decide = () => {
        throw new Error('policy');
      };
      expect((await ask(`${url}/json`)).status).toBe(200);
      expect(await wire.outcome).toMatchObject({ reason: 'failed', error: new Error('policy') });
    });

    it('when the replacement throws, what the handler wrote goes out', async () => {
      wire.decide = () => ({
        action: 'swallow',
        replaceWith: () => {
          throw new Error('policy');
        },
      });
      expect((await ask(`${url}/created`)).status).toBe(201);
      expect(await wire.outcome).toMatchObject({ reason: 'failed' });
    });
  });

  it('the baseline holds what was there before the handler; a changed field is the handler’s', async () => {
    await ask(`${url}/json`);
    const outcome = stored(await wire.outcome);
    expect(outcome.headers['x-static']).toBe('yes');
    const own = ownHeaders(outcome, wire.baselines[0]!);
    expect(own).not.toHaveProperty('x-static');
    expect(own['content-type']).toContain('application/json');
    expect(ownHeaders({ headers: { 'x-static': 'no' } }, wire.baselines[0]!)).toEqual({ 'x-static': 'no' });
  });
});

describe('middleware and hooks between the tap and the wire', () => {
  afterEach(closeAll);

  describe.each(PLATFORMS)('listeners on the head (%s)', (platform) => {
    const withSession = (field: string, value: string) =>
      serveWire(platform, [Bodies], (app) =>
        app.use((_: unknown, response: ServerResponse, next: () => void) => {
          onHeaders(response, function () {
            this.setHeader(field, value);
          });
          next();
        }),
      );

    it.each(['json', 'stream', 'raw/strings', 'missing'])(
      '%s: a cookie set there is late, and not captured',
      async (path) => {
        const { wire, url } = await withSession('set-cookie', 'id=1');
        const received = await ask(`${url}/${path}`);
        expect(received.headers['set-cookie']).toEqual(['id=1']);
        const outcome = stored(await wire.outcome);
        expect(outcome.headers).not.toHaveProperty('set-cookie');
        expect(outcome.addedLate).toEqual(['set-cookie']);
      },
    );

    it('is late as well when the client has left', async () => {
      const { wire, url } = await withSession('set-cookie', 'id=1');
      const entered = new Promise<void>((resolve) => gate.entered.subscribe(() => resolve()));
      const client = leaver(`${url}/slow`);
      await entered;
      const closed = new Promise<void>((resolve) => wire.taps[0]!.response.once('close', resolve));
      client.leave();
      await closed;
      gate.open.next();
      expect(stored(await wire.outcome).addedLate).toEqual(['set-cookie']);
    });
  });

  it.each(PLATFORMS)('a session that is saved before the end is written: its cookie is late (%s)', async (platform) => {
    const saved = new Subject<void>();
    const { wire, url } = await serveWire(platform, [Bodies], (app) =>
      app.use((_: unknown, response: ServerResponse, next: () => void) => {
        onHeaders(response, function () {
          this.setHeader('set-cookie', 'id=1');
        });
        const end = response.end as (...args: unknown[]) => ServerResponse;
        response.end = ((...args: unknown[]) => {
          saved.pipe(take(1)).subscribe(() => end.apply(response, args));
          return response;
        }) as never;
        next();
      }),
    );
    const asked = ask(`${url}/text`);
    while (!wire.taps[0]?.ended) await turn();
    saved.next();
    expect((await asked).headers['set-cookie']).toEqual(['id=1']);
    expect(stored(await wire.outcome).addedLate).toEqual(['set-cookie']);
  });

  it.each(PLATFORMS)('an outer interceptor that fails when half is written: cut off (%s)', async (platform) => {
    const { wire, url } = await serveWire(platform, [Bodies], (app) =>
      app.useGlobalInterceptors({
        intercept: (_: ExecutionContext, next: CallHandler) =>
          next.handle().pipe(
            map(() => {
              throw new Error('outer');
            }),
          ),
      }),
    );
    expect((await ask(`${url}/raw/half`)).body.toString()).toBe('half');
    expect(await wire.outcome).toMatchObject({ reason: 'aborted' });
  });

  it('Express: a compression by middleware comes after the tap', async () => {
    const { wire, url } = await serveWire('express', [Bodies], (app) =>
      app.use((_: unknown, response: ServerResponse, next: () => void) => {
        onHeaders(response, function () {
          this.removeHeader('content-length');
          this.setHeader('content-encoding', 'gzip');
        });
        const chunks: Buffer[] = [];
        const end = response.end as (...args: unknown[]) => ServerResponse;
        response.write = ((chunk: string | Buffer, encoding?: BufferEncoding) => {
          chunks.push(Buffer.from(chunk as string, typeof encoding === 'string' ? encoding : undefined));
          return true;
        }) as never;
        response.end = ((chunk?: string | Buffer, encoding?: BufferEncoding) => {
          if (chunk) response.write(chunk as string, encoding as never);
          return end.call(response, gzipSync(Buffer.concat(chunks)));
        }) as never;
        next();
      }),
    );
    const received = await ask(`${url}/json`);
    const outcome = stored(await wire.outcome);
    expect(received.headers['content-encoding']).toBe('gzip');
    expect(outcome.headers).not.toHaveProperty('content-encoding');
    expect(gunzipSync(received.body).equals(outcome.body)).toBe(true);
    expect(outcome.addedLate).toEqual(['content-encoding']);
  });

  it('Fastify: a compression by onSend comes before the tap, with its headers', async () => {
    const { wire, url } = await serveWire('fastify', [Bodies], (app) =>
      fastifyOf(app).addHook(
        'onSend',
        async (_: unknown, reply: { header(n: string, v: string): unknown }, payload: unknown) => {
          reply.header('content-encoding', 'gzip');
          return gzipSync(payload as string);
        },
      ),
    );
    const received = await ask(`${url}/json`);
    const outcome = stored(await wire.outcome);
    expect(outcome.headers['content-encoding']).toBe('gzip');
    expect(outcome.body.equals(received.body)).toBe(true);
  });

  it('who writes past the tap makes it unusable, and nothing else', async () => {
    const { wire, url } = await serveWire('express', [Bodies], (app) =>
      app.use((_: unknown, response: ServerResponse, next: () => void) => {
        const end = response.end.bind(response) as (body: string) => unknown;
        gate.entered.pipe(take(1)).subscribe(() => setImmediate(() => end('too slow')));
        next();
      }),
    );
    const received = await ask(`${url}/slow`);
    expect(received.body.toString()).toBe('too slow');
    expect(await wire.outcome).toMatchObject({ reason: 'bypassed' });
    gate.open.next();
  });
});
