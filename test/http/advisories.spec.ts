import 'reflect-metadata';
import { Controller, Get, Header, HttpCode, Param, Query, Redirect, Req, Res } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CachePage, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';
import { Gate } from './subject.js';
import { ask } from './wire/wire.client.js';
import { onHeaders } from './wire/wire.application.js';

// What went wrong in the response caches of others (reference/seed-systems.md 6.4, reference/http.md 0.5), each by its number.

afterEach(closeAll);

let runs = 0;
let gate: Gate;
beforeEach(() => {
  runs = 0;
  gate = new Gate();
});

type Headers = Record<string, string>;
type Reply = { header(name: string, value: string): void };

/** A handler that says what the query says: `?cache-control=private&status=200`. */
@Controller()
class Origin {
  @Get('says')
  @CachePage('1m')
  says(@Query() query: Headers, @Res({ passthrough: true }) response: Reply): object {
    for (const [name, value] of Object.entries(query)) response.header(name, value);
    return { run: ++runs };
  }

  @Get('rfc')
  @CachePage({ mode: 'rfc' })
  rfc(@Query() query: Headers, @Res({ passthrough: true }) response: Reply): object {
    for (const [name, value] of Object.entries(query)) response.header(name, value);
    return { run: ++runs };
  }

  @Get('none')
  @CachePage('1m')
  @HttpCode(204)
  none(): void {
    runs++;
  }

  @Get('cookie')
  @CachePage('1m')
  async cookie(@Res({ passthrough: true }) response: Reply): Promise<object> {
    const run = ++runs;
    if (run === 1) await gate.opened;
    response.header('set-cookie', `session=${run}`);
    return { run };
  }

  @Get('host')
  @CachePage('1m')
  host(@Req() request: { headers: Headers; hostname: string; protocol: string }): object {
    return {
      link: `${request.protocol}://${request.hostname}/`,
      forwarded: request.headers['x-forwarded-host'] ?? null,
    };
  }

  @Get('search')
  @CachePage('1m')
  search(@Query('q') q: string | undefined): object {
    return { q: q ?? null };
  }

  @Get('login')
  @CachePage('1m')
  @Redirect('/login', 302)
  login(): void {
    runs++;
  }

  @Get('plain/:id')
  @CachePage('1m')
  plain(@Param('id') id: string): object {
    return { id, run: ++runs };
  }

  @Get('nonce')
  @CachePage('1m')
  @Header('content-security-policy', "script-src 'nonce-abc'")
  nonce(): string {
    return `run ${++runs}`;
  }
}

describe.each<Platform>(['express', 'fastify'])('advisories, on %s', (platform) => {
  const start = async (listen?: (response: ServerResponse, request: IncomingMessage) => void): Promise<string> => {
    const served = await serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Origin] }, (app) => {
      if (!listen) return;
      app.use((request: IncomingMessage, response: ServerResponse, next: () => void) => {
        listen(response, request);
        next();
      });
    });
    return served.url;
  };
  const runsOf = async (url: string, ...headers: Headers[]): Promise<number> => {
    const before = runs;
    for (const fields of headers) await ask(url, { headers: fields });
    return runs - before;
  };
  const query = (fields: Headers): string => new URLSearchParams(fields).toString();

  describe('CVE-2026-6907 (Django): a response with Vary: * is stored', () => {
    it.each(['*', 'accept, *', '*, accept'])('%s', async (vary) => {
      const url = await start();
      for (const path of ['says', 'rfc'])
        expect(await runsOf(`${url}/${path}?${query({ vary, 'cache-control': 'max-age=60' })}`, {}, {})).toBe(2);
    });
  });

  it('CVE-2026-48587 (Django): white space around the names in Vary hides them', async () => {
    const url = await start();
    for (const path of ['says', 'rfc']) {
      const padded = (vary: string): string => `${url}/${path}?${query({ vary, 'cache-control': 'max-age=60' })}`;
      expect(await runsOf(padded('  *  '), {}, {})).toBe(2);
      expect(await runsOf(padded(' accept ,\tX-Lang  '), { 'x-lang': 'a' }, { 'x-lang': 'b' }, { 'x-lang': 'a' })).toBe(
        2,
      );
    }
  });

  describe('CVE-2026-8404 (Django): directives are compared by case', () => {
    it.each(['Private', 'PRIVATE', 'max-age=60, pRiVaTe', 'No-Store', 'NO-STORE, max-age=60'])('%s', async (value) => {
      const url = await start();
      expect(await runsOf(`${url}/says?${query({ 'cache-control': value })}`, {}, {})).toBe(2);
      expect(await runsOf(`${url}/rfc?${query({ 'cache-control': `${value}, s-maxage=60` })}`, {}, {})).toBe(2);
    });
  });

  it('CVE-2026-35193 (Django): responses to requests with Authorization are shared (RFC 9111 3.5)', async () => {
    const url = await start();
    const [a, b] = [{ authorization: 'Bearer a' }, { authorization: 'Bearer b' }];
    expect(await runsOf(`${url}/says`, a, b, {}, a, b, {})).toBe(5);
    const rfc = (value: string): string => `${url}/rfc?${query({ 'cache-control': value })}`;
    expect(await runsOf(rfc('max-age=60'), a, b, a)).toBe(3);
    // Unless the response says that it may be.
    for (const value of ['public, max-age=60', 's-maxage=60', 'max-age=60, must-revalidate'])
      expect(await runsOf(rfc(value), a, b, {})).toBe(1);
  });

  it('CVE-2026-48588 (Django): Set-Cookie is stored when the request has an unrelated cookie', async () => {
    const url = await start();
    const path = `${url}/says?${query({ 'set-cookie': 'csrf=1', vary: 'cookie' })}`;
    expect(await runsOf(path, { cookie: 'theme=dark' }, { cookie: 'theme=dark' }, {}, {})).toBe(4);
    expect((await ask(path)).headers['set-cookie']).toEqual(['csrf=1']);
  });

  it('CVE-2026-35192 (Django): a session that is saved late adds its cookie to a response that was stored', async () => {
    const url = await start((response) =>
      onHeaders(response, function () {
        if (runs > 0) this.setHeader('set-cookie', `session=${runs}`);
      }),
    );
    expect(await runsOf(`${url}/plain/1`, {}, {})).toBe(2);
  });

  it('late Cache-Control: private, as a session may add it, is obeyed as well', async () => {
    const url = await start((response) =>
      onHeaders(response, function () {
        this.setHeader('cache-control', 'private, no-store');
      }),
    );
    expect(await runsOf(`${url}/plain/1`, {}, {})).toBe(2);
  });

  describe('CVE-2026-24472 (Hono): private and no-store are ignored', () => {
    it.each(['private', 'no-store', 'private="set-cookie"x', 'no-cache'])('%s', async (value) => {
      const url = await start();
      expect(await runsOf(`${url}/says?${query({ 'cache-control': value })}`, {}, {})).toBe(2);
    });
  });

  describe('CVE-2026-44457 (Hono): Vary: Authorization, Cookie is ignored', () => {
    it.each(['Cookie', 'Authorization', 'Authorization, Cookie'])('%s', async (vary) => {
      const url = await start();
      for (const path of ['says', 'rfc']) {
        const asked = `${url}/${path}?${query({ vary, 'cache-control': 'public, max-age=60' })}`;
        const [a, b] = [
          { cookie: 'n=1', authorization: 'Bearer a' },
          { cookie: 'n=2', authorization: 'Bearer b' },
        ];
        expect(await runsOf(asked, a, b)).toBe(2);
        if (vary !== 'Authorization') expect(await runsOf(asked, { cookie: 'n=3' }, { cookie: 'n=4' })).toBe(2);
      }
    });
  });

  describe('CVE-2026-13697 (undici): odd qualified directives count for nothing, or crash the parser', () => {
    it.each([
      'private=""',
      'private="',
      'private=, max-age=60',
      'no-cache=""',
      'PRIVATE="",s-maxage=60',
      'private="a,',
    ])('%s', async (value) => {
      const url = await start();
      for (const path of ['says', 'rfc']) {
        const asked = `${url}/${path}?${query({ 'cache-control': value })}`;
        expect(await runsOf(asked, {}, {})).toBe(2);
        expect((await ask(asked)).status).toBe(200);
      }
    });

    it('non-canonical ones beside Authorization', async () => {
      const url = await start();
      const asked = `${url}/rfc?${query({ 'cache-control': 'public="x-a", private="x-b" , max-age=60, private' })}`;
      expect(await runsOf(asked, { authorization: 'Bearer a' }, { authorization: 'Bearer b' })).toBe(2);
    });
  });

  it('CVE-2025-49826 (Next.js): an empty 204 takes the place of a page', async () => {
    const url = await start();
    expect(await runsOf(`${url}/none`, {}, {})).toBe(2);
  });

  it('Nitro 3468: the session of one is shared with those who wait for him', async () => {
    const arrived = new Gate(5);
    const url = await start(() => arrived.arrive());
    const asked = Array.from({ length: 5 }, () => ask(`${url}/cookie`));
    await arrived.opened;
    // Who has come before a request that is answered by now has come to wait.
    await ask(`${url}/nowhere`);
    gate.release();
    const cookies = (await Promise.all(asked)).map(({ headers }) => headers['set-cookie']?.[0]);
    expect(new Set(cookies).size).toBe(5);
  });

  it('CVE-2011-4139, CVE-2014-1418 (Django): one host chooses what another one is answered', async () => {
    const url = await start();
    const link = async (headers: Headers): Promise<unknown> =>
      JSON.parse((await ask(`${url}/host`, { headers })).body.toString());
    expect(await link({ host: 'evil.example' })).toMatchObject({ link: 'http://evil.example/' });
    expect(await link({ host: 'shop.example' })).toMatchObject({ link: 'http://shop.example/' });
    // Not by headers that are no part of the key, either: nobody sees them while an entry is made.
    const poison = { host: 'a.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'gopher' };
    expect(await link(poison)).toEqual({ link: 'http://a.example/', forwarded: null });
    expect(await link({ host: 'a.example' })).toEqual({ link: 'http://a.example/', forwarded: null });
  });

  it('CVE-2021-23336 (Python, Django): what takes ; for a separator disagrees with the key', async () => {
    const url = await start();
    const q = async (search: string): Promise<unknown> =>
      (JSON.parse((await ask(`${url}/search?${search}`)).body.toString()) as { q: unknown }).q;
    expect(await q('q=safe')).toBe('safe');
    expect(await q('utm=1;q=evil')).not.toBe('safe');
    expect(await q('q=safe;q=evil')).toBe('safe;q=evil');
    expect(await q('q=safe')).toBe('safe');
    // The same name twice: which one counts is told apart.
    const [one, two] = [await q('q=a&q=b'), await q('q=b&q=a')];
    expect(one).not.toEqual(two);
  });

  it('paths that only look alike, and fat GETs, have no entry in common', async () => {
    const url = await start();
    for (const path of ['/plain/a', '/plain/A', '/plain/%61', '/plain/a%2Fb']) {
      const { body } = await ask(url + path);
      expect(JSON.parse(body.toString())).toMatchObject({ run: runs });
    }
    const before = runs;
    const { port } = new URL(url);
    const reply = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), '127.0.0.1');
      let text = '';
      socket.on('data', (data: Buffer) => (text += data.toString()));
      socket.on('close', () => resolve(text));
      socket.on('error', reject);
      const head = ['GET /plain/a HTTP/1.1', `Host: 127.0.0.1:${port}`, 'Content-Type: application/json'];
      socket.write([...head, 'Content-Length: 2', 'Connection: close', '', '{}'].join('\r\n'));
    });
    expect(reply).toContain(`"run":${before + 1}`);
  });

  it('redirects of one caller (a login), and pages with a nonce, are not stored', async () => {
    const url = await start();
    expect(await runsOf(`${url}/login`, {}, {})).toBe(2);
    expect(await runsOf(`${url}/nonce`, {}, {})).toBe(2);
  });
});
