import 'reflect-metadata';
import { All, Controller, Get, Req, Res, StreamableFile } from '@nestjs/common';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { CachePage, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';

afterEach(closeAll);

type Headers = Record<string, string>;
interface Reply {
  status?: number;
  headers?: Headers;
  body?: string;
  /** Answered when this is. */
  after?: Promise<unknown>;
}

/** What the handler was asked, and what it is to answer, in order. */
const asked: Headers[] = [];
let replies: Reply[] = [];

interface Response {
  statusCode: number;
  header(name: string, value: string | string[]): unknown;
}

@Controller()
class Upstream {
  @All('page')
  @CachePage({ mode: 'rfc', autoVary: false })
  async page(
    @Req() { method, headers }: { method: string; headers: Headers },
    @Res({ passthrough: true }) response: Response,
  ): Promise<string> {
    asked.push({ ...headers, method });
    const reply = replies.shift() ?? { status: 500, body: 'nothing more to say' };
    await reply.after;
    response.statusCode = reply.status ?? 200;
    for (const [name, value] of Object.entries(reply.headers ?? {})) response.header(name, value);
    return reply.body ?? '';
  }

  @Get('stream')
  @CachePage({ mode: 'rfc' })
  stream(@Res({ passthrough: true }) response: Response): StreamableFile {
    asked.push({});
    response.header('cache-control', 'max-age=0, stale-while-revalidate=60');
    return new StreamableFile(Readable.from([`run ${asked.length}`]));
  }

  @Get('listed')
  @CachePage({ mode: 'rfc' })
  listed(@Res({ passthrough: true }) response: Response): StreamableFile {
    response.header('cache-control', ['max-age=60']);
    response.header('content-type', ['text/x-own']);
    return new StreamableFile(Readable.from(['listed']));
  }
}

const NO_CACHE = { headers: { 'cache-control': 'no-cache' } };

describe.each<Platform>(['express', 'fastify'])('@CachePage in rfc mode on %s', (platform) => {
  const boot = async (...answers: Reply[]): Promise<string> => {
    asked.length = 0;
    replies = answers;
    const { url } = await serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Upstream] });
    return `${url}/page`;
  };

  it('asks again without conditions when a 304 confirms something that is not stored here (RFC 9111 4.3.4)', async () => {
    const url = await boot(
      { headers: { etag: '"one"', 'cache-control': 'no-cache' }, body: 'one' },
      { status: 304, headers: { etag: '"two"', 'x-of': 'the 304' } },
      { headers: { etag: '"two"', 'cache-control': 'max-age=60' }, body: 'two' },
    );
    await fetch(url);
    const second = await fetch(url);
    expect([second.status, await second.text()]).toEqual([200, 'two']);
    expect(second.headers.has('x-of')).toBe(false);
    expect(asked.map((headers) => headers['if-none-match'])).toEqual([undefined, '"one"', undefined]);
    expect(await (await fetch(url)).text()).toBe('two');
    expect(asked).toHaveLength(3);
  });

  it('freshens a stored GET by a 304 to HEAD, and answers HEAD from it (RFC 9111 4.3.4)', async () => {
    const url = await boot(
      { headers: { etag: '"one"', 'cache-control': 'max-age=0' }, body: 'one' },
      { status: 304, headers: { etag: '"one"', 'cache-control': 'max-age=60', 'x-new': 'yes' } },
    );
    await fetch(url);
    const head = await fetch(url, { method: 'HEAD' });
    expect([head.status, head.headers.get('etag'), head.headers.get('x-new')]).toEqual([200, '"one"', 'yes']);
    expect(asked[1]).toMatchObject({ method: 'HEAD', 'if-none-match': '"one"' });
    const get = await fetch(url);
    expect([await get.text(), get.headers.get('x-new')]).toEqual(['one', 'yes']);
    const again = await fetch(url, { method: 'HEAD' });
    expect([again.headers.get('content-length'), again.headers.get('cache-status')]).toEqual([
      '3',
      expect.stringContaining('; hit;'),
    ]);
    expect(asked).toHaveLength(2);
  });

  it('freshens a stored GET by a 200 to HEAD that agrees with it (RFC 9111 4.3.5)', async () => {
    const etag = '"one"';
    const url = await boot(
      { headers: { etag, 'cache-control': 'max-age=0' }, body: 'one' },
      { headers: { etag, 'cache-control': 'max-age=60' }, body: 'one' },
    );
    await fetch(url);
    await fetch(url, { method: 'HEAD' });
    expect(await (await fetch(url)).text()).toBe('one');
    expect(asked).toHaveLength(2);
  });

  it('lets go of a stored GET that a HEAD refutes, and not of one that it says nothing about', async () => {
    const fresh = { 'cache-control': 'max-age=60' };
    const url = await boot(
      { headers: { etag: '"one"', ...fresh }, body: 'one' },
      { status: 410, headers: fresh },
      { headers: { etag: '"two"', ...fresh } },
      { headers: { etag: '"two"', ...fresh }, body: 'two' },
    );
    await fetch(url);
    const gone = await fetch(url, { method: 'HEAD', ...NO_CACHE });
    expect(gone.status).toBe(410);
    expect(await (await fetch(url)).text()).toBe('one');
    const other = await fetch(url, { method: 'HEAD', ...NO_CACHE });
    expect(other.headers.get('etag')).toBe('"two"');
    expect(await (await fetch(url)).text()).toBe('two');
    expect(asked.map(({ method }) => method)).toEqual(['GET', 'HEAD', 'HEAD', 'GET']);
  });

  it('keeps what is stored when the answer must not be stored because of who asked', async () => {
    const url = await boot(
      { headers: { 'cache-control': 'max-age=60' }, body: 'one' },
      { headers: { 'cache-control': 'max-age=60' }, body: 'two' },
    );
    await fetch(url);
    const mine = await fetch(url, { headers: { 'cache-control': 'no-cache, no-store' } });
    expect(await mine.text()).toBe('two');
    expect(await (await fetch(url)).text()).toBe('one');
  });

  it('gives nobody who waited an answer that has to be validated before each use', async () => {
    let release = (): void => undefined;
    const after = new Promise<void>((resolve) => (release = resolve));
    const headers = (etag: string): Record<string, string> => ({ 'cache-control': 'no-cache', etag });
    const url = await boot(
      { headers: headers('"one"'), body: 'one', after },
      { headers: headers('"two"'), body: 'two' },
    );
    const both = [fetch(url), fetch(url)];
    await expect.poll(() => asked.length).toBe(1);
    release();
    const answers = await Promise.all(both);
    expect((await Promise.all(answers.map((answer) => answer.text()))).sort()).toEqual(['one', 'two']);
  });
});

describe('@CachePage on fastify', () => {
  const boot = async (): Promise<string> => {
    asked.length = 0;
    const { url } = await serve('fastify', { imports: [TieredCacheModule.forRoot()], controllers: [Upstream] });
    return url;
  };

  it('keeps a field that was set as a list of one line, which Fastify would not read', async () => {
    const url = `${await boot()}/listed`;
    const [cold, warm] = [await fetch(url), await fetch(url)];
    expect(warm.headers.get('cache-status')).toContain('; hit;');
    expect(warm.headers.get('content-type')).toBe('text/x-own');
    expect(cold.headers.get('content-type')).toBe('text/x-own');
  });

  it('refreshes a streamed page without a warning about listeners', async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error): void => void warnings.push(warning);
    process.on('warning', warned);
    const url = `${await boot()}/stream`;
    const text = async (): Promise<string> => (await fetch(url)).text();
    expect([await text(), await text()]).toEqual(['run 1', 'run 1']);
    await expect.poll(text).not.toBe('run 1');
    process.off('warning', warned);
    expect(warnings.map(({ name }) => name)).toEqual([]);
  });
});
