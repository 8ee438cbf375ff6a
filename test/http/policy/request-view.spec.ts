import { Controller, Get, Head, Param, VersioningType } from '@nestjs/common';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { afterEach, describe, expect, it } from 'vitest';
import { requestViewOf } from '../../../src/http/policy/request-view-of.js';
import { closeAll, probe, PLATFORMS } from './probe.js';

afterEach(closeAll);

@Controller('books')
class BooksController {
  @Get(':id')
  one(@Param('id') id: string) {
    return { id };
  }
}

@Controller({ path: 'books', version: ['1', '2'] })
class VersionedController {
  @Get()
  list() {
    return [];
  }

  @Head('head')
  head() {}
}

describe.each(PLATFORMS)('the view of a request on %s', (platform) => {
  it('shows it as it came', async () => {
    const ask = await probe(platform, [BooksController]);
    const { view, ip } = await ask('/books/a%2Fb?x=1&x=2&y=%20', {
      headers: { host: 'Books.example:8080', 'X-Thing': 'T' },
    });
    expect(view.kind).toBe('http');
    expect(view.method).toBe('GET');
    expect(view.url).toBe('/books/a%2Fb?x=1&x=2&y=%20');
    expect(view.path).toBe('/books/a%2Fb');
    expect(view.search).toBe('x=1&x=2&y=%20');
    expect(view.host).toBe('Books.example:8080');
    expect(view.protocol).toBe('http');
    expect(view.headers['x-thing']).toBe('T');
    expect({ ...view.params }).toEqual({ id: 'a/b' });
    expect({ ...view.query }).toEqual({ x: ['1', '2'], y: ' ' });
    expect(ip).toContain('127.0.0.1');
    expect(view.user).toBeUndefined();
    expect(view.identity).toMatchObject({ name: 'BooksController.one', route: 'books/:id' });
    expect(view.raw?.url).toBe('/books/a%2Fb?x=1&x=2&y=%20');
  });

  it('believes no forwarded host of a client', async () => {
    const ask = await probe(platform, [BooksController]);
    const { view } = await ask('/books/1', { headers: { host: 'a.example', 'x-forwarded-host': 'evil.example' } });
    expect(view.host).toBe('a.example');
  });

  it('sees what a guard recognised, and cookies of one name', async () => {
    const ask = await probe(platform, [BooksController], {
      base: { principal: () => 'a' },
      prepare: (app) =>
        app.useGlobalGuards({
          canActivate(context) {
            context.switchToHttp().getRequest<{ user?: unknown }>().user = { id: 7 };
            return true;
          },
        }),
    });
    const { view } = await ask('/books/1', { headers: { cookie: 'a=1; b="x y"; a=2; =; c' } });
    expect(view.user).toEqual({ id: 7 });
    expect(view.cookie('a')).toEqual(['1', '2']);
    expect(view.cookie('b')).toEqual(['"x y"']);
    expect(view.cookie('none')).toEqual([]);
  });

  it('knows the versions a handler serves', async () => {
    const ask = await probe(platform, [VersionedController], {
      prepare: (app) => app.enableVersioning({ type: VersioningType.URI }),
    });
    const one = await ask('/v1/books');
    const two = await ask('/v2/books');
    expect(one.view.identity.key).toMatch(/^VersionedController\.list:[\w-]{16}$/);
    expect(one.key).not.toBe(two.key);
  });
});

describe('behind a trusted proxy', () => {
  it.each(PLATFORMS)('the view has the host and scheme of the proxy on %s', async (platform) => {
    const ask = await probe(platform, [BooksController], { trustProxy: true });
    const { view, ip } = await ask('/books/1', {
      headers: { 'x-forwarded-host': 'shop.example', 'x-forwarded-proto': 'https', 'x-forwarded-for': '203.0.113.9' },
    });
    expect([view.host, view.protocol, ip]).toEqual(['shop.example', 'https', '203.0.113.9']);
  });
});

describe('the view outside HTTP', () => {
  class Handlers {
    book() {}
  }

  function context(type: string, args: unknown[]): ExecutionContextHost {
    const host = new ExecutionContextHost(args, Handlers as never, Handlers.prototype.book as never);
    host.setType(type);
    return host;
  }

  it('has the arguments of a GraphQL query', () => {
    const req = { headers: { 'accept-language': 'fr' }, user: { id: 1 } };
    const view = requestViewOf(context('graphql', [undefined, { id: 7 }, { req }, { parentType: { name: 'Query' } }]));
    expect(view).toMatchObject({
      kind: 'graphql',
      method: 'QUERY',
      params: { id: 7 },
      headers: req.headers,
      user: { id: 1 },
    });
    expect(view?.payload).toEqual([null, { id: 7 }]);
    expect(view?.identity.name).toBe('Handlers.book');
  });

  it('has the data of a message, and the client of a gateway', () => {
    expect(requestViewOf(context('rpc', [{ id: 7 }, {}]))).toMatchObject({
      kind: 'rpc',
      method: 'CALL',
      payload: { id: 7 },
    });
    const client = { handshake: { headers: { cookie: 'a=1' } }, data: { user: 'me' } };
    const view = requestViewOf(context('ws', [client, { id: 7 }]));
    expect(view).toMatchObject({ kind: 'ws', payload: { id: 7 }, user: 'me' });
    expect(view?.cookie('a')).toEqual(['1']);
  });

  it('is none for a transport it does not know', () => {
    expect(requestViewOf(context('telegram', []))).toBeUndefined();
  });
});
