import 'reflect-metadata';
import { Controller, Get, Param, Res, type INestApplication } from '@nestjs/common';
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
