import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { compiledSamples } from '../servers/compiled.entry.js';
import { SampleProcess } from './sample.process.js';

const SAMPLE = '05-proxy';
const BINARY = Buffer.from(Array.from({ length: 70_000 }, (_, index) => (index * 7) % 256));

interface Received {
  readonly status: number;
  readonly reason: string | undefined;
  /** As they came: name, value, name, value. */
  readonly raw: readonly string[];
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
  readonly interim: readonly number[];
}

/** A server of which each test says what it answers. */
class TestOrigin {
  readonly seen: Array<Pick<IncomingMessage, 'method' | 'url' | 'headers'> & { body: string }> = [];
  answer: (request: IncomingMessage, response: ServerResponse) => void = (_, response) => response.end();
  private readonly server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method, url, headers } = request;
      this.seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
      this.answer(request, response);
    });
  });

  async start(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** Sends a request as it is written here, and takes the answer as it comes. */
async function ask(url: string, path: string, options: object = {}, body?: string | Buffer): Promise<Received> {
  const { hostname, port } = new URL(url);
  const sent = request({ hostname, port, path, agent: false, ...options });
  const interim: number[] = [];
  sent.on('information', ({ statusCode }) => interim.push(statusCode));
  sent.end(body);
  const [message] = (await once(sent, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  const { statusCode, statusMessage, rawHeaders, headers } = message;
  return {
    status: statusCode as number,
    reason: statusMessage,
    raw: rawHeaders,
    headers,
    body: Buffer.concat(chunks),
    interim,
  };
}

beforeAll(() => compiledSamples());

describe('sample 05-proxy', () => {
  const origin = new TestOrigin();
  let sample: SampleProcess;

  beforeAll(async () => {
    sample = await SampleProcess.start(SAMPLE, 'Proxy on', { ORIGIN: await origin.start() });
  });

  afterAll(async () => {
    await sample?.stop('SIGKILL');
    origin.stop();
  });

  beforeEach(() => void origin.seen.splice(0));
  /** Without what a test before has left to be refreshed in the background. */
  const seenOf = (path: string): unknown[] => origin.seen.filter(({ url }) => url === path);

  let paths = 0;
  const fresh = (): string => `/${paths++}`;
  const get = (path: string, headers: Record<string, string> = {}): Promise<Received> =>
    ask(sample.url, path, { headers });
  const status = ({ headers }: Received): unknown => headers['cache-status'];

  it("repeats the origin's words for caches in front, on a miss and on a hit", async () => {
    const words = 'public, max-age=60, s-maxage=90';
    origin.answer = (_, response) => {
      response.writeHead(200, ['cache-control', words, 'cdn-cache-control', 'max-age=70']);
      response.end('shared');
    };
    const path = fresh();
    for (const got of [await get(path), await get(path)])
      expect(got.headers).toMatchObject({ 'cache-control': words, 'cdn-cache-control': 'max-age=70' });
    expect(seenOf(path)).toHaveLength(1);
  });

  it('forwards any method, target and body as they are, and says for whom', async () => {
    origin.answer = (_, response) => {
      const own =
        'content-type: text/x;charset=utf-8, x-two: a, x-two: b, set-cookie: a=1, set-cookie: b=2, x-hop: mine';
      response.writeHead(207, 'As It Likes', [...own.split(/, |: /), 'connection', 'keep-alive, x-hop']);
      response.end('{"raw" : true}');
    };
    const headers = { host: 'shop.example', 'content-type': 'application/json', 'x-forwarded-for': '192.0.2.1' };
    const path = '/a%2Fb//c;d?z=1&a=%zz&a=2';
    for (const method of ['PROPFIND', 'M-SEARCH', 'PUT']) {
      const got = await ask(sample.url, path, { method, headers }, '{ "not": json');
      expect([got.status, got.reason, got.body.toString()]).toEqual([207, 'As It Likes', '{"raw" : true}']);
      expect(got.headers).toMatchObject({ 'content-type': 'text/x;charset=utf-8', 'set-cookie': ['a=1', 'b=2'] });
      expect(got.raw.filter((_, index) => got.raw[index - 1] === 'x-two')).toEqual(['a', 'b']);
      expect(got.headers).not.toHaveProperty('x-hop');
      expect(origin.seen.at(-1)).toMatchObject({ method, url: path, body: '{ "not": json' });
      expect(origin.seen.at(-1)?.headers).toMatchObject({
        'content-type': 'application/json',
        'x-forwarded-for': '192.0.2.1, 127.0.0.1',
        'x-forwarded-host': 'shop.example',
        'x-forwarded-proto': 'http',
        via: '1.1 tiered-cache',
      });
      expect(origin.seen.at(-1)?.headers.host).not.toBe('shop.example');
    }
  });

  it.each<[string, Buffer, (response: ServerResponse) => void]>([
    ['text', Buffer.from('grüße'), (response) => response.end('grüße')],
    ['nothing', Buffer.alloc(0), (response) => response.end()],
    [
      'binary in chunks',
      BINARY,
      (response) => void (response.write(BINARY.subarray(0, 9)), response.end(BINARY.subarray(9))),
    ],
    ['gzip', gzipSync('zipped'), (response) => response.setHeader('content-encoding', 'gzip').end(gzipSync('zipped'))],
  ])('stores and sends the same bytes: %s', async (_, bytes, answer) => {
    origin.answer = (_request, response) => {
      response.setHeader('cache-control', 'max-age=60').setHeader('content-type', 'application/x-own;v=1');
      answer(response);
    };
    const path = fresh();
    const [cold, warm] = [await get(path), await get(path)];
    expect(cold.body.equals(bytes)).toBe(true);
    expect(warm.body.equals(bytes)).toBe(true);
    expect(warm.headers['content-type']).toBe('application/x-own;v=1');
    expect(warm.headers['content-encoding']).toBe(cold.headers['content-encoding']);
    expect(status(warm)).toContain('; hit;');
    expect(origin.seen).toHaveLength(1);
  });

  it('cuts a response off where the origin did, and stores none of it', async () => {
    origin.answer = (_, response) => {
      response.writeHead(200, { 'cache-control': 'max-age=60', 'content-length': '10' }).write('half ');
      setImmediate(() => response.destroy());
    };
    const path = fresh();
    await expect(get(path)).rejects.toThrow('aborted');
    origin.answer = (_, response) => response.end('whole');
    expect((await get(path)).body.toString()).toBe('whole');
  });

  it('keeps the status and type of errors, redirects, and answers without content', async () => {
    const answers: Array<[number, string | undefined]> = [
      [404, 'gone fishing'],
      [301, 'there'],
      [204, undefined],
      [503, '<p>'],
    ];
    for (const [code, body] of answers) {
      origin.answer = (_, response) => {
        response.writeHead(code, { ...(body && { 'content-type': 'text/html' }), location: '/there' }).end(body);
      };
      const got = await get(fresh());
      expect([got.status, got.headers.location, got.body.toString()]).toEqual([code, '/there', body ?? '']);
      expect(got.headers['content-type']).toBe(body && 'text/html');
    }
  });

  it('keys by the target as it came: the order of a query counts, and how it is escaped', async () => {
    origin.answer = ({ url }, response) => response.setHeader('cache-control', 'max-age=60').end(url);
    const path = fresh();
    for (const target of [`${path}?a=1&b=2`, `${path}?b=2&a=1`, `${path}?a=%31&b=2`, `${path}/`, `${path}//`])
      expect((await get(target)).body.toString()).toBe(target);
    expect(origin.seen).toHaveLength(5);
  });

  it('confirms what is stale by its validator: 304', async () => {
    origin.answer = ({ headers }, response) => {
      response.setHeader('etag', '"v1"').setHeader('cache-control', 'max-age=0');
      response.statusCode = headers['if-none-match'] === '"v1"' ? 304 : 200;
      response.end(response.statusCode === 200 ? 'one' : undefined);
    };
    const path = fresh();
    await get(path);
    const second = await get(path);
    expect([second.status, second.body.toString()]).toEqual([200, 'one']);
    expect(status(second)).toContain('fwd=stale; fwd-status=304');
    expect((await get(path, { 'if-none-match': '"v1"' })).status).toBe(304);
  });

  it('serves stale while one refresh runs (RFC 5861)', async () => {
    origin.answer = (_, response) =>
      response.setHeader('cache-control', 'max-age=0, stale-while-revalidate=60').end(String(origin.seen.length));
    const path = fresh();
    expect((await get(path)).body.toString()).toBe('1');
    expect((await get(path)).body.toString()).toBe('1');
    await expect.poll(async () => (await get(path)).body.toString()).not.toBe('1');
  });

  it('forks by Vary', async () => {
    origin.answer = ({ headers }, response) => {
      response.setHeader('cache-control', 'max-age=60').setHeader('vary', 'Accept-Language');
      response.end(headers['accept-language']);
    };
    const path = fresh();
    for (const language of ['de', 'fr', 'de', 'fr'])
      expect((await get(path, { 'accept-language': language })).body.toString()).toBe(language);
    expect(seenOf(path)).toHaveLength(2);
  });

  it('forgets what a successful PUT changes, and what it names', async () => {
    const [path, other] = [fresh(), fresh()];
    origin.answer = ({ method }, response) => {
      if (method === 'PUT') response.setHeader('content-location', other);
      else response.setHeader('cache-control', 'max-age=60');
      response.end();
    };
    for (const target of [path, other, path, other]) await get(target);
    expect([...seenOf(path), ...seenOf(other)]).toHaveLength(2);
    await ask(sample.url, path, { method: 'PUT' }, 'new');
    for (const target of [path, other]) expect(status(await get(target))).toContain('fwd=uri-miss');
  });

  it('passes interim responses on', async () => {
    origin.answer = (_, response) => {
      response.writeProcessing();
      response.writeEarlyHints({ link: '</a.css>; rel=preload' });
      response.setHeader('cache-control', 'max-age=60').end('final');
    };
    const path = fresh();
    expect((await get(path)).interim).toEqual([102, 103]);
    const warm = await get(path);
    expect([warm.interim, warm.body.toString()]).toEqual([[], 'final']);
  });
});

describe('sample 05-proxy without its origin', () => {
  it('serves what is stale where nothing forbids it, else 502; and ends cleanly', async () => {
    const origin = new TestOrigin();
    await using sample = await SampleProcess.start(SAMPLE, 'Proxy on', { ORIGIN: await origin.start() });
    origin.answer = ({ url }, response) =>
      response
        .setHeader('cache-control', url === '/strict' ? 'max-age=0, must-revalidate' : 'max-age=0')
        .setHeader('etag', '"v1"')
        .end('kept');
    for (const path of ['/lax', '/strict']) expect((await ask(sample.url, path)).body.toString()).toBe('kept');
    origin.stop();
    const lax = await ask(sample.url, '/lax');
    expect([lax.status, lax.body.toString()]).toEqual([200, 'kept']);
    expect(lax.headers['cache-status']).toContain('fwd=stale; fwd-status=502');
    expect((await ask(sample.url, '/strict')).status).toBe(502);
    expect((await ask(sample.url, '/never-seen')).status).toBe(502);
    expect(await sample.stop('SIGTERM')).toBe(0);
  });
});
