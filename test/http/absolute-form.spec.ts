import 'reflect-metadata';
import { request } from 'node:http';
import { Controller, Get, Param, Put, Query } from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import { CachePage, TieredCacheModule, type ResponseCachePolicy } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';

afterEach(closeAll);

let runs = 0;

const policy: ResponseCachePolicy = { ttl: '1m', public: true };

@Controller('notes')
@CachePage(policy)
class Notes {
  @Get(':id')
  read(@Param('id') id: string, @Query('q') q?: string): object {
    return { id, q, run: ++runs };
  }

  @Put(':id')
  write(): object {
    return {};
  }
}

describe.each<Platform>(['express', 'fastify'])('absolute-form request targets (RFC 9112 3.2.2), %s', (platform) => {
  const boot = async (beforeGuards = false) => {
    runs = 0;
    const responses = { base: { beforeGuards, public: true } };
    const imports = [TieredCacheModule.forRoot({ responses })];
    const { url } = await serve(platform, { imports, controllers: [Notes] });
    const send = (target: string, { method = 'GET', host = new URL(url).host } = {}): Promise<number> =>
      new Promise((resolve, reject) => {
        const { hostname, port } = new URL(url);
        const sent = request({ hostname, port, path: target, method, headers: { host } }, (answer) => {
          let text = '';
          answer.on('data', (chunk: Buffer) => (text += String(chunk)));
          answer.on('end', () => resolve((JSON.parse(text) as { run: number }).run));
        });
        sent.on('error', reject).end();
      });
    return { url, send };
  };

  it.each([false, true])('have the key of the origin form (before guards: %s)', async (beforeGuards) => {
    const { url, send } = await boot(beforeGuards);
    expect(await send('/notes/1?q=a')).toBe(1);
    expect(await send(`${url}/notes/1?q=a`)).toBe(1);
    expect(await send(`${url.replace('http', 'HTTP')}/notes/1?q=a`)).toBe(1);
    expect(await send(`${url}/notes/2`)).toBe(2);
    expect(await send('/notes/2')).toBe(2);
  });

  it('invalidate it, and are invalidated by it', async () => {
    const { url, send } = await boot();
    expect(await send('/notes/1')).toBe(1);
    await send(`${url}/notes/1`, { method: 'PUT' });
    expect(await send('/notes/1')).toBe(2);
    expect(await send(`${url}/notes/1`)).toBe(2);
    await send('/notes/1', { method: 'PUT' });
    expect(await send(`${url}/notes/1`)).toBe(3);
  });

  it('do not, where they name another host than the request does: a handler can read both', async () => {
    const { send } = await boot();
    expect(await send('/notes/1')).toBe(1);
    expect(await send('http://elsewhere.example/notes/1')).toBe(2);
    expect(await send('/notes/1')).toBe(1);
  });
});
