/**
 * One server of the HTTP benchmark, in a process of its own: `node http.server.mjs <contestant>`. Tells the parent its port, and on demand the
 * CPU time it has used so far.
 */
import 'reflect-metadata';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { CacheInterceptor, CacheModule, CacheTTL } from '@nestjs/cache-manager';
import { Controller, Get, Inject, Injectable, Res, UseInterceptors } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { CachePage, CacheService, TieredCacheModule } from './engine.mjs';
import { recordOf } from './values.mjs';

const ROWS = recordOf(10_000);
const BODY = Buffer.from(JSON.stringify(ROWS));
const TYPE = 'application/json; charset=utf-8';
const ETAG = `W/"${createHash('sha256').update(BODY).digest('base64url').slice(0, 27)}"`;

class Root {}

/** A controller whose only route, GET /books/:id, is `handler` under these decorators. */
function controller(handler, ...decorators) {
  class Books {}
  Books.prototype.one = handler;
  const descriptor = Object.getOwnPropertyDescriptor(Books.prototype, 'one');
  for (const decorate of [Get(':id'), ...decorators]) decorate(Books.prototype, 'one', descriptor);
  Controller('books')(Books);
  return Books;
}

async function nest(adapter, Books, imports = []) {
  const app = await NestFactory.create({ module: Root, imports, controllers: [Books] }, adapter, { logger: false });
  await app.listen(0, '127.0.0.1');
  return app.getHttpServer().address().port;
}

const rows = () => ROWS;

const inLane = () => controller(rows, CachePage({ ttl: '1h', public: true, beforeGuards: true }));

/** Somebody who is given the cache: with that, each request has a scope. */
class Reader {}
Injectable()(Reader);
Inject(CacheService)(Reader.prototype, 'cache');

const cached = [TieredCacheModule.forRoot()];
const read = [...cached, { module: class WithReader {}, providers: [Reader] }];

/** Ours are as they come, the request tier included: it sleeps while nobody is given the cache. */
const contestants = {
  page: (adapter) => nest(adapter, controller(rows, CachePage('1h')), cached),

  /** On Node 20 AsyncLocalStorage makes every promise of a process dearer; no other contestant uses it. */
  tier: (adapter) => nest(adapter, controller(rows, CachePage('1h')), read),

  lane: (adapter) => nest(adapter, inLane(), cached),

  'lane-tier': (adapter) => nest(adapter, inLane(), read),

  async end(adapter) {
    const Books = controller((response) => {
      const raw = response.raw ?? response;
      raw.setHeader('content-type', TYPE);
      raw.setHeader('content-length', BODY.length);
      raw.end(BODY);
    });
    Res()(Books.prototype, 'one', 0);
    return nest(adapter, Books);
  },

  manager: (adapter) =>
    nest(adapter, controller(rows, UseInterceptors(CacheInterceptor), CacheTTL(3_600_000)), [CacheModule.register()]),

  uncached: (adapter) => nest(adapter, controller(rows)),
};

/** What is left when everything but Node is taken away: the entry that the cache sends, found by its URL. */
async function bare() {
  const headers = {
    'content-type': TYPE,
    etag: ETAG,
    date: new Date().toUTCString(),
    age: '0',
    'cache-control': 'max-age=3600',
    'cache-status': 'tiered-cache; hit; ttl=3599; detail=memory',
    'content-length': BODY.length,
  };
  const entries = new Map([['/books/1', { headers, body: BODY }]]);
  const server = createServer((request, response) => {
    const entry = entries.get(request.url);
    if (request.headers['if-none-match'] === ETAG) response.writeHead(304, headers).end();
    else response.writeHead(200, entry.headers).end(entry.body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server.address().port;
}

const [, , platform, name] = process.argv;
const adapters = { express: () => new ExpressAdapter(), fastify: () => new FastifyAdapter() };
const port = platform === 'node' ? await bare() : await contestants[name](adapters[platform]());

process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send({ cpu: user + system });
});
process.on('disconnect', () => process.exit());
process.send({ port });
