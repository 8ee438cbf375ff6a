import 'reflect-metadata';
import { Controller, Get, Header } from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import { CachePage, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';

afterEach(closeAll);

const MODIFIED = 'Mon, 02 Jan 2023 10:00:00 GMT';
const LATER = 'Mon, 02 Jan 2023 10:00:01 GMT';
const EARLIER = 'Mon, 02 Jan 2023 09:59:59 GMT';

@Controller()
@CachePage('1m')
class Pages {
  @Get('dated')
  @Header('Last-Modified', MODIFIED)
  dated(): object {
    return {};
  }

  @Get('undated')
  undated(): object {
    return {};
  }
}

describe.each<Platform>(['express', 'fastify'])('If-Modified-Since, %s', (platform) => {
  it.each([
    ['dated', MODIFIED, 304],
    ['dated', LATER, 304],
    ['dated', EARLIER, 200],
    ['dated', 'yesterday', 200],
    ['dated', '2023-01-02T10:00:01Z', 200],
    ['undated', LATER, 200],
    ['undated', new Date(Date.now() + 60_000).toUTCString(), 200],
  ])('%s, %s: %i', async (path, since, status) => {
    const { url } = await serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Pages] });
    const ask = (headers: Record<string, string>) => fetch(`${url}/${path}`, { headers });
    for (const outcome of ['stored', 'hit']) {
      const answer = await ask({ 'if-modified-since': since });
      expect([answer.status, answer.headers.get('cache-status')]).toEqual([status, expect.stringContaining(outcome)]);
    }
    // Whoever names what he has is answered by that alone.
    expect((await ask({ 'if-modified-since': LATER, 'if-none-match': '"other"' })).status).toBe(200);
  });
});
