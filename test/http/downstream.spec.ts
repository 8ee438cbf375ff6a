import 'reflect-metadata';
import { Controller, Get, Header, Headers, Param, Res, type INestApplication } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { tap } from 'rxjs';
import { afterEach, describe, expect, it } from 'vitest';
import {
  byHeaders,
  byIp,
  byLocale,
  byParams,
  byRoute,
  byUrl,
  byUser,
  byVersion,
  CachePage,
  custom,
  TieredCacheModule,
  type ResponseCachePolicy,
} from '../../src/index.js';
import { closeAll, serve } from '../nest/boot.js';
import { pass } from './passing-time.js';
import { fastifyOf, onHeaders } from './wire/wire.application.js';
import { ask } from './wire/wire.client.js';

// A cache in front of us has the URL and `Vary` to tell clients apart, and nothing else.

afterEach(closeAll);

const PUBLIC = 'public, max-age=60, s-maxage=90';
const base = [byRoute(), byParams()];
const langOf = (view: { params: Readonly<Record<string, unknown>> }): string => view.params['how'] as string;

/** What only this application can tell apart. */
const UNTOLD: Readonly<Record<string, ResponseCachePolicy>> = {
  'the address': { key: [...base, byIp()] },
  'the address, in other words': { key: [...base, byIp()], downstream: PUBLIC },
  'the address, in words of the handler': { key: [...base, byIp()], downstream: false },
  'the address, by the rules of HTTP': { key: [...base, byIp()], mode: 'rfc' },
  'what a function says': { key: [...base, custom(() => 'a tenant that nobody sees')] },
  'what a function says, in other words': { key: [...base, custom(() => 'a')], downstream: PUBLIC },
  'a key function': { key: ({ handler, params }) => [handler.name, params['how'] as string] },
  'a language found by a guard': { key: [...base, byLocale(['en'], ({ request }) => request['language'] as string)] },
  'a user': { key: [...base, byUser()] },
  'a user, in other words': { key: [...base, byUser()], downstream: PUBLIC },
  'a user, in words of the handler': { key: [...base, byUser()], downstream: false },
  'a user of a session': { key: [...base, byUser(({ request }) => (request['session'] as { id: string }).id)] },
};

/** What the URL and `Vary` say. */
const TOLD: Readonly<Record<string, ResponseCachePolicy>> = {
  'the route': {},
  'the URL as sent': { key: [byUrl()] },
  'a header': { key: [...base, byHeaders('x-shop')] },
  'a language of the path': { key: [...base, byLocale(['en', 'free', 'said', 'targeted'], langOf)] },
  'a version': { key: [...base, byVersion(() => 7)] },
  'the route, in other words': { downstream: PUBLIC },
  'the route, in words of the handler': { downstream: false },
};

const ALL = { ...UNTOLD, ...TOLD };

function controller(): new () => object {
  class Promising {}
  for (const [at, policy] of Object.values(ALL).entries()) {
    const name = `of${at}`;
    const value = (how: string, response: { header(name: string, value: string): void }): string => {
      if (how !== 'free') response.header('cache-control', PUBLIC);
      if (how === 'targeted') {
        response.header('cdn-cache-control', 'max-age=60');
        response.header('surrogate-control', 'max-age=60');
      }
      return 'x';
    };
    Object.defineProperty(Promising.prototype, name, { value, writable: true, configurable: true });
    Param('how')(Promising.prototype, name, 0);
    Res({ passthrough: true })(Promising.prototype, name, 1);
    const descriptor = Object.getOwnPropertyDescriptor(Promising.prototype, name) as PropertyDescriptor;
    for (const decorate of [CachePage({ ttl: '1m', ...policy }), Get(`${at}/:how`)])
      decorate(Promising.prototype, name, descriptor);
  }
  Controller()(Promising);
  return Promising;
}

function start(platform: 'express' | 'fastify'): Promise<{ url: string }> {
  const module = TieredCacheModule.forRoot({ responses: { surrogateKeys: 'Surrogate-Key' } } as object);
  return serve(platform, { imports: [module], controllers: [controller()] }, (app: INestApplication) => {
    app.useGlobalGuards({
      canActivate(context) {
        const request = context.switchToHttp().getRequest<Record<string, unknown> & { headers: object }>();
        request['language'] = 'en';
        request['session'] = { id: 'ann' };
        if ('x-user' in request.headers) request['user'] = { id: 'ann' };
        return true;
      },
    });
  });
}

const both = async (url: string, what: string, how: string): Promise<Array<Record<string, unknown>>> => {
  const at = `${url}/${Object.keys(ALL).indexOf(what)}/${how}`;
  const headers: Record<string, string> = what.startsWith('a user') ? { 'x-user': 'ann' } : {};
  return [(await ask(at, { headers })).headers, (await ask(at, { headers })).headers];
};

describe.each(['express', 'fastify'] as const)('on %s a page that is kept apart by', (platform) => {
  it.each(Object.keys(UNTOLD))('%s is promised to its client only', async (what) => {
    const { url } = await start(platform);
    for (const how of ['free', 'said', 'targeted']) {
      const [miss, hit] = await both(url, what, how);
      expect(hit?.['cache-status']).toContain('; hit');
      for (const headers of [miss, hit]) {
        expect(headers?.['cache-control']).toMatch(/^private(?:,|$)/);
        expect(headers?.['cache-control']).not.toMatch(/public|s-maxage/);
        for (const name of ['cdn-cache-control', 'surrogate-control', 'surrogate-key'])
          expect(headers).not.toHaveProperty(name);
      }
    }
  });

  it.each(Object.keys(TOLD))('%s may be kept by others', async (what) => {
    const { url } = await start(platform);
    for (const how of ['free', 'said', 'targeted']) {
      const [miss, hit] = await both(url, what, how);
      expect(hit?.['cache-status']).toContain('; hit');
      for (const headers of [miss, hit]) {
        expect(headers?.['cache-control'] ?? '').not.toContain('private');
        if (how === 'said') expect(headers?.['cache-control']).toContain('s-maxage');
        if (how === 'targeted') expect(headers).toHaveProperty('cdn-cache-control');
      }
    }
  });
});

@Controller()
class Said {
  @Get('mine')
  @CachePage({ ttl: '1m', key: [byRoute(), byIp()] })
  mine(): string {
    return 'x';
  }

  @Get('declared')
  @Header('CDN-Cache-Control', 'max-age=60')
  @CachePage({ ttl: '1m', key: [byRoute(), byIp()] })
  declared(): string {
    return 'x';
  }

  @Get('language')
  @CachePage({ ttl: '1h', freshFor: '1m' })
  language(@Headers('accept-language') language: string): string {
    return `in ${language}`;
  }

  @Get('declared-language')
  @CachePage({ ttl: '1h', freshFor: '1m', vary: ['accept-language'] })
  declaredLanguage(@Headers('accept-language') language: string): string {
    return `in ${language}`;
  }

  @Get('everybodys')
  @CachePage('1m')
  everybodys(): string {
    return 'x';
  }
}

type Sets = (set: (name: string, value: string) => unknown) => void;
type Carrier = { header(name: string, value: string): unknown };

/** Who says something besides the handler, for each request. */
const OTHERS: Readonly<Record<string, (app: INestApplication, says: Sets) => void>> = {
  middleware: (app, says) =>
    app.use((_request: unknown, response: ServerResponse, next: () => void) => {
      says((name, value) => response.setHeader(name, value));
      next();
    }),
  'a guard': (app, says) =>
    void app.useGlobalGuards({
      canActivate(context) {
        const response = context.switchToHttp().getResponse<Carrier>();
        says((name, value) => response.header(name, value));
        return true;
      },
    }),
  'an interceptor': (app, says) =>
    void app.useGlobalInterceptors({
      intercept: (context, next) =>
        next
          .handle()
          .pipe(tap(() => says((name, value) => context.switchToHttp().getResponse<Carrier>().header(name, value)))),
    }),
  'a listener of the head': (app, says) =>
    app.use((_request: unknown, response: ServerResponse, next: () => void) => {
      onHeaders(response, function () {
        says((name, value) => this.setHeader(name, value));
      });
      next();
    }),
};
const HOOK: typeof OTHERS = {
  'a hook': (app, says) =>
    void fastifyOf(app).addHook('onSend', (async (_request: unknown, reply: Carrier, payload: unknown) => {
      says((name, value) => reply.header(name, value));
      return payload;
    }) as never),
};

describe.each(['express', 'fastify'] as const)('on %s', (platform) => {
  const others = platform === 'fastify' ? { ...OTHERS, ...HOOK } : OTHERS;
  const start = (who: string, says: Sets): Promise<{ url: string }> =>
    serve(platform, { imports: [TieredCacheModule.forRoot()], controllers: [Said] }, (app) => others[who]?.(app, says));

  it.each(['nobody', ...Object.keys(others)])('%s tells a CDN to keep what is for one client', async (who) => {
    const { url } = await start(who, (set) => {
      for (const name of ['cdn-cache-control', 'Acme-CDN-Cache-Control', 'surrogate-control']) set(name, 'max-age=60');
      if (who === 'an interceptor' || who === 'a hook') set('cache-control', PUBLIC);
    });
    for (const path of ['mine', 'declared'])
      for (const times of [1, 2, 3]) {
        const { headers } = await ask(`${url}/${path}`);
        if (times > 1) expect(headers['cache-status']).toContain('; hit');
        expect(headers['cache-control']).toMatch(/^private(?:,|$)/);
        expect(headers['cache-control']).not.toMatch(/public|s-maxage/);
        expect(Object.keys(headers).filter((name) => /cdn|surrogate/.test(name))).toEqual([]);
      }
  });

  it.each(['language', 'declared-language'])(
    'what middleware makes of a header is seen by no CDN: %s',
    async (path) => {
      const { url } = await serve(
        platform,
        { imports: [TieredCacheModule.forRoot()], controllers: [Said] },
        (app: INestApplication) => {
          app.use(({ headers }: { headers: Record<string, string | undefined> }, _: unknown, next: () => void) => {
            if (headers['cookie'] !== undefined) headers['accept-language'] = headers['cookie'].slice('lang='.length);
            next();
          });
        },
      );
      const asked = (headers: Record<string, string>) => ask(`${url}/${path}`, { headers });
      const sees = async (headers: Record<string, string>, language: string, control: RegExp): Promise<void> => {
        const got = await asked(headers);
        expect(got.body.toString()).toBe(`in ${language}`);
        expect(got.headers['cache-control']).toMatch(control);
      };
      for (const _times of [1, 2]) {
        await sees({ cookie: 'lang=de', 'accept-language': 'en' }, 'de', /^private, /);
        await sees({ 'accept-language': 'en' }, 'en', /^max-age=/);
      }
      // The refresh has the headers as they are by now.
      pass(61_000);
      const age = async (): Promise<unknown> => (await asked({ cookie: 'lang=de' })).headers['age'];
      await expect.poll(age).toBe('0');
      await sees({ cookie: 'lang=de', 'accept-language': 'en' }, 'de', /^private, /);
    },
  );

  it.each(Object.keys(others))('a cookie of %s is for nobody else, whatever the page is', async (who) => {
    let isNew = false;
    const { url } = await start(who, (set) => void (isNew && set('set-cookie', 'id=1')));
    const asked = async (as: boolean): Promise<Record<string, unknown>> => {
      isNew = as;
      return (await ask(`${url}/everybodys`)).headers;
    };
    const first = await asked(true);
    expect(first['set-cookie']).toEqual(['id=1']);
    expect(first['cache-control'] ?? 'private').toMatch(/^private/);
    expect((await asked(false))['cache-control']).toBe('max-age=60');
    for (const as of [true, false, true]) {
      const headers = await asked(as);
      expect(headers['cache-status']).toContain('; hit');
      expect([headers['set-cookie'], headers['cache-control']]).toEqual(
        as
          ? [['id=1'], expect.stringMatching(/^private, max-age=\d+$/)]
          : [undefined, expect.stringMatching(/^max-age=\d+$/)],
      );
    }
  });
});
