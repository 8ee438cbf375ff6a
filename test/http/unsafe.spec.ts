import 'reflect-metadata';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import {
  BadRequestException,
  Controller,
  Delete,
  Get,
  HttpException,
  Next,
  Param,
  Patch,
  Post,
  Put,
  Query,
  Redirect,
  Res,
  StreamableFile,
} from '@nestjs/common';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  byParams,
  byQuery,
  byRoute,
  CachePage,
  CacheResponse,
  CacheService,
  NoCache,
  TieredCacheModule,
} from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';

afterEach(closeAll);
afterEach(() => vi.restoreAllMocks());

/** What a handler answers with by hand, on either platform. */
interface Reply {
  readonly raw?: ServerResponse;
  status(code: number): Reply;
  send(body?: unknown): unknown;
  redirect(url: string, status?: number): unknown;
}

const rawOf = (reply: Reply): ServerResponse => reply.raw ?? (reply as unknown as ServerResponse);
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

let state = 0;

@Controller('notes')
@CachePage('1m')
class Notes {
  @Get(':id')
  read(@Param('id') id: string, @Query('q') q?: string): object {
    return { id, q, state };
  }

  @Get(':id/value')
  @CacheResponse('1m')
  value(): object {
    return { state };
  }

  @Get(':id/listed')
  @CachePage({ key: [byRoute(), byParams('id'), byQuery(['q'])] })
  listed(): object {
    return { state };
  }

  @Get(':id/named/:name')
  @CachePage({ key: [byRoute(), byParams('id')] })
  named(): object {
    return { state };
  }

  @Put(':id/named/:name')
  rename(): object {
    return { state: ++state };
  }

  @Put(':id')
  write(): object {
    return { state: ++state };
  }

  @Delete(':id')
  remove(): void {
    state++;
  }

  @Patch(':id')
  @NoCache() // of itself; its pages are others'
  uncached(): object {
    return { state: ++state };
  }

  @Post('located')
  located(@Res({ passthrough: true }) reply: { header(name: string, value: string): void }): object {
    state++;
    reply.header('location', '/notes/1');
    reply.header('content-location', '2?of=elsewhere');
    return {};
  }

  @Post('away')
  away(@Res({ passthrough: true }) reply: { header(name: string, value: string): void }): object {
    state++;
    reply.header('location', 'http://elsewhere.example/notes/1');
    return {};
  }

  @Get(':id/:way')
  readWay(): object {
    return { state };
  }

  @Put(':id/:way')
  putByHand(@Param('id') id: string, @Param('way') way: string, @Res() reply: Reply): Promise<void> {
    return this.byHand(id, way, reply);
  }

  @Post(':id/:way')
  async byHand(@Param('id') id: string, @Param('way') way: string, @Res() reply: Reply): Promise<void> {
    const raw = rawOf(reply);
    state++;
    const location = `/notes/${id}`;
    const late = (): void => void state++;
    switch (way) {
      case 'send':
        return void reply.status(201).send({ state });
      case 'later':
        await soon();
        late();
        return void reply.send({ state });
      case 'end':
        raw.setHeader('content-location', location);
        return void raw.end('done');
      case 'end-later':
        await soon();
        late();
        raw.writeHead(200, { 'content-location': location });
        return void raw.end('done', () => undefined);
      case 'parts':
        raw.writeHead(200, { 'content-location': location, 'content-length': '4' });
        raw.write('do');
        await soon();
        late();
        raw.write('ne');
        return void raw.end();
      case 'piped':
        raw.setHeader('content-location', location);
        return void Readable.from(['do', 'ne']).pipe(raw);
      case 'flushed':
        raw.setHeader('content-location', location);
        raw.flushHeaders();
        await soon();
        late();
        return void raw.end('done');
      case 'redirect':
        raw.writeHead(303, { location });
        return void raw.end();
      case 'bad':
        raw.writeHead(400, { 'content-location': location });
        return void raw.end('bad');
      case 'value':
      case 'listed':
        return void reply.status(200).send();
      default:
        throw new BadRequestException();
    }
  }

  @Post(':id/streamed/file')
  streamed(@Res({ passthrough: true }) reply: { header(name: string, value: string): void }, @Param('id') id: string) {
    state++;
    reply.header('content-location', `/notes/${id}`);
    return new StreamableFile(Readable.from([Buffer.from('do'), Buffer.from('ne')]));
  }

  @Put(':id/thrown/:status')
  thrown(@Param('id') id: string, @Param('status') status: string, @Res({ passthrough: true }) reply: Reply): object {
    state++;
    rawOf(reply).setHeader('location', `/notes/${id}`);
    throw new HttpException('see there', Number(status));
  }

  @Post(':id/to/there')
  @Redirect('/notes/1', 303)
  there(): void {
    state++;
  }

  @Post(':id/on/its/way')
  onward(@Res() reply: Reply, @Next() _next: unknown): void {
    state++;
    void reply.status(204).send();
  }
}

describe.each<Platform>(['express', 'fastify'])('unsafe requests, %s', (platform) => {
  const boot = async () => {
    state = 0;
    const { url, app } = await serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Notes] });
    const get = async (path: string): Promise<number> =>
      ((await (await fetch(`${url}/notes/${path}`)).json()) as { state: number }).state;
    const send = (method: string, path: string) => fetch(`${url}/notes/${path}`, { method, redirect: 'manual' });
    return { app, url, get, send };
  };

  /** A store that takes its time for invalidations. */
  const slowly = (): void => {
    const { invalidateTags } = CacheService.prototype;
    vi.spyOn(CacheService.prototype, 'invalidateTags').mockImplementation(async function (this: CacheService, tags) {
      await new Promise((resolve) => setTimeout(resolve, 40));
      return invalidateTags.call(this, tags);
    });
  };

  it.each(['PUT', 'DELETE', 'PATCH'])('%s: all pages of its path are gone, whatever their query', async (method) => {
    const { get, send } = await boot();
    for (const path of ['1', '1?q=a', '1?q=b&c=d', '%31', '2']) expect(await get(path)).toBe(0);
    expect((await send(method, '1?q=z')).ok).toBe(true);
    for (const path of ['1', '1?q=a', '1?q=b&c=d', '%31']) expect(await get(path)).toBe(1);
    expect(await get('2')).toBe(0);
  });

  it('Location and Content-Location of the same origin go, too, and no others', async () => {
    const { get, send } = await boot();
    for (const path of ['1?q=a', '2', '3']) await get(path);
    await send('POST', 'away');
    expect([await get('1?q=a'), await get('2'), await get('3')]).toEqual([0, 0, 0]);
    await send('POST', 'located');
    expect([await get('1?q=a'), await get('2'), await get('3')]).toEqual([2, 2, 0]);
  });

  it('values, and pages whose key names their parameters', async () => {
    const { get, send } = await boot();
    for (const path of ['1/value', '1/listed?q=a']) expect(await get(path)).toBe(0);
    await send('PUT', '1/value');
    await send('PUT', '1/listed');
    expect([await get('1/value'), await get('1/listed?q=a')]).toEqual([2, 2]);
  });

  it('pages that several paths share, by any of them', async () => {
    const { get, send } = await boot();
    for (const path of ['1/named/a', '1/named/b', '2']) expect(await get(path)).toBe(0);
    await send('PUT', '1/named/b');
    expect([await get('1/named/a'), await get('1/named/c'), await get('2')]).toEqual([1, 1, 0]);
  });

  it.each([
    ['send', 201],
    ['later', 200],
  ])('answered by hand (%s): their own path', async (way, status) => {
    const { get, send } = await boot();
    slowly();
    const old = await get(`1/${way}`);
    const answer = await send('PUT', `1/${way}`);
    expect([answer.status, await answer.json()]).toEqual([status, { state }]);
    expect(await get(`1/${way}`)).toBe(state);
    expect(state).toBeGreaterThan(old);
  });

  it.each([
    ['end', 1, 'done'],
    ['end-later', 2, 'done'],
    ['parts', 2, 'done'],
    ['piped', 1, 'done'],
    ['flushed', 2, 'done'],
    ['redirect', 1, ''],
    ['streamed/file', 1, 'done'],
  ])('answered by hand (%s): who has the answer never reads the old page', async (way, after, body) => {
    const { get, send } = await boot();
    slowly();
    for (let round = 1; round <= 3; round++) {
      const old = await get('1');
      const answer = await send('POST', `1/${way}`);
      expect(await answer.text()).toBe(body);
      expect(await get('1')).toBe(old + after);
    }
  });

  it('nobody is sent the head before what is stored is gone', async () => {
    const { get, send } = await boot();
    slowly();
    await get('1');
    const answer = await send('POST', '1/flushed');
    expect(await get('1')).toBeGreaterThan(0);
    await answer.text();
    expect(await get('1')).toBe(2);
  });

  it('an error of their own invalidates nothing', async () => {
    const { get, send } = await boot();
    await get('1');
    expect((await send('POST', '1/bad')).status).toBe(400);
    expect((await send('POST', '1/unknown')).status).toBe(400);
    expect((await send('PUT', '1/thrown/404')).status).toBe(404);
    expect((await send('PUT', '1/thrown/500')).status).toBe(500);
    expect(await get('1')).toBe(0);
  });

  it.each([303, 202])('what is thrown with a status of %s is no error', async (status) => {
    const { get, send } = await boot();
    slowly();
    await get('1');
    expect((await send('PUT', `1/thrown/${status}`)).status).toBe(status);
    expect(await get('1')).toBe(1);
  });

  it('a declared redirect', async () => {
    const { get, send } = await boot();
    slowly();
    await get('1');
    expect((await send('POST', '1/to/there')).status).toBe(303);
    expect(await get('1')).toBe(1);
  });

  it('an empty answer by hand ends', async () => {
    const { send } = await boot();
    expect((await send('POST', '1/on/its/way')).status).toBe(204);
  });
});
