import 'reflect-metadata';
import type { ServerResponse } from 'node:http';
import { Controller, Get, Header, Injectable, Res, UseInterceptors } from '@nestjs/common';
import type { CallHandler, ExecutionContext, INestApplication, NestInterceptor } from '@nestjs/common';
import { tap, type Observable } from 'rxjs';
import { afterEach, describe, expect, it } from 'vitest';
import { CachePage, TieredCacheModule } from '../../src/index.js';
import { closeAll, serve, type Platform } from '../nest/boot.js';

afterEach(closeAll);

const rawOf = (response: unknown): ServerResponse =>
  (response as { raw?: ServerResponse }).raw ?? (response as ServerResponse);

let requests = 0;
let runs = 0;

/** As helmet, a request logger and the like do, in front of everything. */
function middleware(_: unknown, response: ServerResponse, next: () => void): void {
  requests++;
  response.setHeader('X-Request-Id', `id-${requests}`);
  response.setHeader('X-Powered-By', 'something');
  response.setHeader('X-Frame-Options', 'SAMEORIGIN');
  response.setHeader('Server-Timing', `edge;dur=${requests}`);
  response.setHeader('Link', [`</first>; rel=preload`, `</request/${requests}>; rel=self`]);
  response.setHeader('Vary', 'Origin');
  response.setHeader('Expires', '0');
  next();
}

@Injectable()
class Late implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const response = rawOf(context.switchToHttp().getResponse());
    return next.handle().pipe(
      tap(() => {
        response.setHeader('x-late', 'late');
        response.removeHeader('x-frame-options');
      }),
    );
  }
}

@Controller()
@CachePage('1m')
class Fields {
  @Get('plain')
  plain(): object {
    return { runs: ++runs };
  }

  @Get('removing')
  @Header('X-Static', 'a')
  @Header('X-Kept', 'b')
  removing(@Res({ passthrough: true }) response: { removeHeader(name: string): void }): object {
    for (const name of ['X-Powered-By', 'x-static']) {
      response.removeHeader(name);
      rawOf(response).removeHeader(name);
    }
    return { runs: ++runs };
  }

  @Get('overriding')
  overriding(@Res({ passthrough: true }) response: { header(name: string, value: string): void }): object {
    response.header('X-FRAME-OPTIONS', 'DENY');
    response.header('x-own', '1');
    return { runs: ++runs };
  }

  @Get('appending')
  appending(@Res({ passthrough: true }) response: object): object {
    const raw = rawOf(response);
    raw.setHeader('vary', `${String(raw.getHeader('vary'))}, Accept-Language`);
    raw.setHeader('server-timing', `${String(raw.getHeader('server-timing'))}, db;dur=7`);
    raw.setHeader('link', [...(raw.getHeader('link') as string[]), '</own>; rel=next']);
    raw.setHeader('x-lines', ['one', 'two']);
    return { runs: ++runs };
  }

  @Get('late')
  @UseInterceptors(Late)
  @CachePage('1m')
  late(): object {
    return { runs: ++runs };
  }
}

@Controller('outer')
@UseInterceptors(Late)
class Outer {
  @Get()
  @CachePage('1m')
  outer(): object {
    return { runs: ++runs };
  }
}

@Controller('confirmed')
class Confirmed {
  @Get()
  @CachePage({ mode: 'rfc' })
  confirmed(
    @Res({ passthrough: true }) response: { header(name: string, value: string): void; status(code: number): unknown },
  ): object {
    runs++;
    response.header('etag', '"a"');
    response.header('cache-control', runs === 2 ? 'max-age=60' : 'max-age=0');
    if (runs === 2) response.status(304);
    else {
      response.header('x-frame-options', 'DENY');
      rawOf(response).removeHeader('x-powered-by');
    }
    return { runs: 1 };
  }
}

const OF_THE_WAY = new Set([
  'age',
  'cache-control',
  'cache-status',
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'transfer-encoding',
]);

describe.each<Platform>(['express', 'fastify'])('the fields of a hit are those of the miss, %s', (platform) => {
  const boot = async (answerInGuard: boolean) => {
    requests = runs = 0;
    const prepare = (app: INestApplication): unknown => app.use(middleware);
    const metadata = {
      imports: [TieredCacheModule.forRoot({ responses: { answerInGuard } })],
      controllers: [Fields, Outer, Confirmed],
    };
    const { url } = await serve(platform, metadata, prepare);
    return async (path: string, headers: Record<string, string> = {}) => {
      const answer = await fetch(`${url}/${path}`, { headers });
      const body = await answer.text();
      const fields = [...answer.headers].filter(([name]) => !OF_THE_WAY.has(name));
      // What names the request is this request's own.
      const own = fields.map(([name, value]) => [
        name,
        value.replaceAll(new RegExp(`(?<=[-=/])${requests}\\b`, 'g'), 'N'),
      ]);
      return { status: answer.status, body, isHit: / hit/.test(answer.headers.get('cache-status') ?? ''), own };
    };
  };

  describe.each([true, false])('sent by the guard: %s', (answerInGuard) => {
    it.each(['plain', 'removing', 'overriding', 'appending', 'late', 'outer'])('%s', async (path) => {
      const get = await boot(answerInGuard);
      const miss = await get(path);
      for (const hit of [await get(path), await get(path)]) {
        expect([miss.isHit, hit.isHit]).toEqual([false, true]);
        expect(hit.own).toEqual(miss.own);
        expect(hit.body).toBe(miss.body);
      }
    });

    it.each(['removing', 'overriding'])('%s: 304', async (path) => {
      const get = await boot(answerInGuard);
      const miss = await get(path, { 'if-none-match': '*' });
      const hit = await get(path, { 'if-none-match': '*' });
      expect([miss.status, hit.status, hit.isHit]).toEqual([304, 304, true]);
      expect(hit.own).toEqual(miss.own);
    });
  });

  it('also when the page was confirmed', async () => {
    const get = await boot(true);
    const answers = [await get('confirmed'), await get('confirmed'), await get('confirmed')];
    expect(runs).toBe(2);
    expect(answers[2]?.isHit).toBe(true);
    const [first, ...others] = answers.map(({ own }) => own);
    for (const other of others) expect(other).toEqual(first);
  });
});
