import 'reflect-metadata';
import { Controller, Get, Req } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { byRoute, CachePage, CacheResponse, custom, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve } from '../nest/boot.js';
import { ask } from './wire/wire.client.js';

// A handler may ask for any name; what no header can be called is no name for `Vary`, which Node would refuse.

afterEach(closeAll);

let runs: number;
beforeEach(() => void (runs = 0));

interface Asked {
  readonly headers: Readonly<Record<string, string | undefined>>;
}

const NAMES = ['x shop', 'na\u20acve', 'a,b', '', 'x-shop\r\nset-cookie', '"quoted"'];
const seen = ({ headers }: Asked): object => ({ run: ++runs, all: NAMES.map((name) => headers[name] ?? null) });

@Controller()
class Inventing {
  @Get('page')
  @CachePage('1m')
  page(@Req() request: Asked): object {
    return { ...seen(request), shop: request.headers['x-shop'] ?? null };
  }

  @Get('keyed')
  @CachePage({ ttl: '1m', key: [byRoute(), custom((view) => NAMES.map((name) => view.headers[name] ?? null).join())] })
  keyed(@Req() request: Asked): object {
    return seen(request);
  }

  @Get('value')
  @CacheResponse('1m')
  value(@Req() request: Asked): object {
    return seen(request);
  }
}

describe.each(['express', 'fastify'] as const)('on %s', (platform) => {
  const start = (given: readonly string[]): Promise<{ url: string }> =>
    serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Inventing] }, (app) => {
      app.use(({ headers }: { headers: Record<string, string> }, _response: unknown, next: () => void) => {
        for (const name of given) headers[name] = headers['x-client'] as string;
        next();
      });
    });

  it.each(['page', 'keyed', 'value'])('names that no header has are not in Vary: %s', async (what) => {
    const { url } = await start([]);
    const first = await ask(`${url}/${what}`, { headers: { 'x-client': 'ann' } });
    const second = await ask(`${url}/${what}`, { headers: { 'x-client': 'bob' } });
    expect(runs).toBe(1);
    for (const { status, headers, body } of [first, second]) {
      expect(status).toBe(200);
      expect(headers['vary']).toBe(what === 'page' ? 'x-shop' : undefined);
      expect(body.toString()).toBe(first.body.toString());
    }
  });

  it.each(['page', 'keyed', 'value'])('what middleware has put under such a name is not shared: %s', async (what) => {
    const { url } = await start(NAMES);
    for (const client of ['ann', 'bob']) {
      const { body, status } = await ask(`${url}/${what}`, { headers: { 'x-client': client } });
      expect(status).toBe(200);
      expect((JSON.parse(body.toString()) as { all: string[] }).all).toEqual(NAMES.map(() => client));
    }
  });
});
