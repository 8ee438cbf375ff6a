import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  CacheService,
  EntityInvalidationService,
  purgeByHeader,
  purgeByJson,
  PurgeService,
  surrogateKey,
  TieredCacheModule,
  type PurgeOptions,
  type PurgeSink,
} from '../../src/index.js';
import { boot, closeAll } from '../nest/boot.js';
import { RedisServer } from '../servers/redis.server.js';

const warned = vi.spyOn(Logger.prototype, 'warn');
const reported = vi.spyOn(Logger.prototype, 'error');

beforeEach(() => {
  for (const log of [warned, reported]) log.mockReset().mockImplementation(() => undefined);
});
afterEach(closeAll);

/** A sink in whose hands the test has what becomes of each purge. */
class HeldSink implements PurgeSink {
  readonly purges: Array<{ tags: string[]; signal: AbortSignal; resolve(): void; reject(error: Error): void }> = [];

  constructor(readonly name = 'held') {}

  purge(tags: readonly string[], signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => this.purges.push({ tags: [...tags], signal, resolve, reject }));
  }

  async nth(n: number): Promise<HeldSink['purges'][number]> {
    await expect.poll(() => this.purges.length, { interval: 2, timeout: 5000 }).toBeGreaterThanOrEqual(n);
    return this.purges[n - 1]!;
  }
}

async function application(sink: PurgeSink, options: Omit<PurgeOptions, 'sinks'> = {}) {
  const app = await boot([TieredCacheModule.forRoot({ purge: { sinks: [sink], repeatAfter: false, ...options } })]);
  return { app, cache: app.get(CacheService), purges: app.get(PurgeService) };
}

describe('what is purged', () => {
  it('every tag that is invalidated through the application, those of entities too, without waiting for the sink', async () => {
    const sink = new HeldSink();
    const { app, cache, purges } = await application(sink);
    await Promise.all([cache.invalidateTags(['a', 'b']), cache.namespace('default').invalidateTags(['b', 'c'])]);
    const first = await sink.nth(1);
    expect(first.tags.sort()).toEqual(['a', 'b', 'c']);
    await app.get(EntityInvalidationService).invalidateEntity('Course', 42);
    expect(sink.purges).toHaveLength(1);
    first.resolve();
    const second = await sink.nth(2);
    expect(second.tags).toEqual(['Course', 'Course:42', 'Course/lists']);
    second.resolve();
    await purges.drain();
    expect(purges.stats()).toEqual({ held: { purged: 6, failures: 0, lost: 0, pending: 0 } });
  });

  it('also what is made stale: a cache in front has no stale copies of ours', async () => {
    const sink = new HeldSink();
    const { cache } = await application(sink);
    await cache.expireTags(['a']);
    const purge = await sink.nth(1);
    expect(purge.tags).toEqual(['a']);
    purge.resolve();
  });

  it('after what is stored here has become a miss', async () => {
    let wasThere: boolean | undefined;
    const sink: PurgeSink = {
      name: 'asking',
      purge: async () => void (wasThere = await cache.has('a')),
    };
    const { cache, purges } = await application(sink);
    await cache.set('a', 1, { tags: ['t'] });
    await cache.invalidateTags(['t']);
    await purges.drain();
    expect(wasThere).toBe(false);
  });

  it('once more when the store has taken in what had to wait for it', { timeout: 60_000 }, async () => {
    await using server = await RedisServer.start();
    const sink = new HeldSink();
    const options = { remote: server.url, deadline: 2000, purge: { sinks: [sink], repeatAfter: false } } as const;
    const app = await boot([TieredCacheModule.forRoot(options)]);
    const cache = app.get(CacheService);
    await cache.set('k', 1, { tags: ['a'] });
    await server.kill();
    await cache.invalidateTags(['a', 'b']);
    const first = await sink.nth(1);
    expect(first.tags).toEqual(['a', 'b']);
    first.resolve();
    await server.restart();
    const second = await sink.nth(2);
    expect(second.tags.sort()).toEqual(['a', 'b']);
    second.resolve();
    await app.get(PurgeService).drain();
    await cache.invalidateTags(['c']);
    const third = await sink.nth(3);
    expect(third.tags).toEqual(['c']);
    third.resolve();
  });

  it('once more after a while, for what was on its way to the cache in front; only once', async () => {
    const sink = new HeldSink();
    const { purges } = await application(sink, { repeatAfter: 30 });
    purges.purge(['a']);
    (await sink.nth(1)).resolve();
    const repeated = await sink.nth(2);
    expect(repeated.tags).toEqual(['a']);
    repeated.resolve();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(sink.purges).toHaveLength(2);
  });

  it('what is left when the application ends, the repetition included', async () => {
    const sink = new HeldSink();
    const { app, purges } = await application(sink, { repeatAfter: '1h' });
    purges.purge(['a']);
    (await sink.nth(1)).resolve();
    await expect.poll(() => purges.stats()['held']?.purged).toBe(1);
    purges.purge(['b']);
    const closing = app.close();
    const underway = await sink.nth(2);
    expect(underway.tags).toEqual(['b']);
    underway.resolve();
    const repeated = await sink.nth(3);
    expect(repeated.tags).toEqual(['a']);
    repeated.resolve();
    await closing;
  });
});

describe('a sink that fails', () => {
  it('is asked again with the same tags, and what came meanwhile goes after them', async () => {
    const sink = new HeldSink();
    const { cache, purges } = await application(sink);
    await cache.invalidateTags(['a']);
    (await sink.nth(1)).reject(new Error('503'));
    await cache.invalidateTags(['b']);
    const again = await sink.nth(2);
    expect(again.tags).toEqual(['a']);
    again.resolve();
    const next = await sink.nth(3);
    expect(next.tags).toEqual(['b']);
    next.resolve();
    await purges.drain();
    expect(purges.stats()).toEqual({ held: { purged: 2, failures: 1, lost: 0, pending: 0 } });
    expect(warned.mock.calls).toEqual([['held: a purge of 1 tag has failed, attempt 1: 503']]);
  });

  it('is given up after the last attempt, which is reported by count and not by name', async () => {
    const sink = new HeldSink();
    const { purges } = await application(sink, { attempts: 2 });
    purges.purge(['secret-a', 'secret-b']);
    (await sink.nth(1)).reject(new Error('no'));
    (await sink.nth(2)).reject(new Error('no'));
    await expect.poll(() => purges.stats()).toEqual({ held: { purged: 0, failures: 2, lost: 2, pending: 0 } });
    expect(reported).toHaveBeenCalledTimes(1);
    expect(String(reported.mock.calls[0]?.[0])).toContain('held: 2 tags given up (attempt 2 was the last)');
    expect(JSON.stringify([warned.mock.calls, reported.mock.calls])).not.toContain('secret');
    // And it goes on.
    purges.purge(['c']);
    (await sink.nth(3)).resolve();
    await purges.drain();
    expect(purges.stats()['held']).toMatchObject({ purged: 1 });
  });

  it('by throwing, too', async () => {
    const { purges } = await application(
      {
        name: 'throwing',
        purge() {
          throw new Error('at once');
        },
      },
      { attempts: 1 },
    );
    purges.purge(['a']);
    await purges.drain();
    expect(purges.stats()['throwing']).toMatchObject({ lost: 1 });
  });

  it('is cut off, and left behind if it does not listen', async () => {
    const sink = new HeldSink();
    const { purges } = await application(sink, { timeout: 30 });
    purges.purge(['a']);
    const first = await sink.nth(1);
    (await sink.nth(2)).resolve();
    expect(first.signal.aborted).toBe(true);
    await expect.poll(() => purges.stats()).toEqual({ held: { purged: 1, failures: 1, lost: 0, pending: 0 } });
    expect(String(warned.mock.calls[0]?.[0])).toContain('no answer within 30 ms');
  });

  it('does not keep the application from ending', { timeout: 20_000 }, async () => {
    const sink = new HeldSink();
    const { app, purges } = await application(sink, { timeout: '1h' });
    purges.purge(['a']);
    const held = await sink.nth(1);
    await app.close();
    expect(held.signal.aborted).toBe(true);
    await expect.poll(() => purges.stats()['held']).toMatchObject({ lost: 1, pending: 0 });
  });

  it('leaves other sinks alone', async () => {
    const [broken, sound] = [new HeldSink('broken'), new HeldSink('sound')];
    const app = await boot([TieredCacheModule.forRoot({ purge: { sinks: [broken, sound], repeatAfter: false } })]);
    await app.get(CacheService).invalidateTags(['a']);
    await broken.nth(1);
    (await sound.nth(1)).resolve();
    await expect.poll(() => app.get(PurgeService).stats()['sound']).toMatchObject({ purged: 1, pending: 0 });
    broken.purges[0]?.resolve();
  });

  it('does not fill the memory: more than 10,000 tags that wait are given up', async () => {
    const sink = new HeldSink();
    const { purges } = await application(sink);
    purges.purge(['first']);
    const first = await sink.nth(1);
    purges.purge(Array.from({ length: 10_001 }, (_, i) => `t${i}`));
    expect(purges.stats()['held']).toMatchObject({ lost: 1, pending: 10_001 });
    first.resolve();
    const rest = await sink.nth(2);
    expect(rest.tags).toHaveLength(10_000);
    rest.resolve();
    await purges.drain();
  });
});

describe('sinks over HTTP', () => {
  interface Asked {
    method: string | undefined;
    url: string | undefined;
    headers: IncomingHttpHeaders;
    body: string;
  }
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  async function cache(answer: (n: number) => number = () => 200): Promise<{ url: string; asked: Asked[] }> {
    const asked: Asked[] = [];
    const server = createServer((request, response) => {
      void text(request).then((body) => {
        asked.push({ method: request.method, url: request.url, headers: request.headers, body });
        response.writeHead(answer(asked.length), { location: '/elsewhere' }).end('the body may hold anything');
      });
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/purge`, asked };
  }
  const { signal } = new AbortController();

  it('PURGE with keys in a header, as many requests as its size takes', async () => {
    const { url, asked } = await cache();
    const tags = Array.from({ length: 100 }, (_, i) => `Course:${i}`);
    await purgeByHeader({ url, header: 'xkey-purge', maxBytes: 100 }).purge([...tags, ...tags], signal);
    const headers = asked.map((one) => one.headers['xkey-purge'] as string);
    expect(headers.join(' ').split(' ')).toEqual(tags);
    expect(Math.max(...headers.map((header) => header.length))).toBeLessThanOrEqual(100);
    expect(asked.length).toBeGreaterThan(5);
    expect(new Set(asked.map(({ method }) => method))).toEqual(new Set(['PURGE']));
  });

  it.each([
    ['256, which is all that Fastly takes', {}, 256],
    ['as many as one says', { maxKeys: 7 }, 7],
  ])('no more keys in a request than %s', async (_name, options, most) => {
    const { url, asked } = await cache();
    const tags = Array.from({ length: 600 }, (_, i) => `C:${i}`);
    await purgeByHeader({ url, method: 'POST', header: 'Surrogate-Key', ...options }).purge(tags, signal);
    const lists = asked.map((one) => (one.headers['surrogate-key'] as string).split(' '));
    expect(lists.flat()).toEqual(tags);
    expect(Math.max(...lists.map((list) => list.length))).toBe(most);
  });

  it('POST with commas and headers of its own', async () => {
    const { url, asked } = await cache();
    const headers = { authorization: 'Bearer x' };
    await purgeByHeader({ url, method: 'POST', header: 'Edge-Cache-Tag', separator: ',', headers }).purge(
      ['a', 'b c'],
      signal,
    );
    expect(asked[0]).toMatchObject({
      method: 'POST',
      headers: { 'edge-cache-tag': 'a,b%20c', authorization: 'Bearer x' },
    });
  });

  // Node's own server knows no BAN; Varnish is asked by it in varnish.spec.ts.
  it('a pattern that finds each key, whole, whatever its characters', async () => {
    const { url, asked } = await cache();
    const tags = ['Course:1', 'Course?level=a.b&x=1', 'a+b(c)|d^$*[e]{f}', 'with blank', 'ünï,"'];
    await purgeByHeader({ url, header: 'x-ban', as: 'pattern', maxBytes: 400 }).purge(tags, signal);
    const patterns = asked.map((one) => one.headers['x-ban'] as string);
    for (const pattern of patterns) expect(pattern).not.toMatch(/\s/);
    const finds = (header: string): boolean => patterns.some((pattern) => new RegExp(pattern).test(header));
    for (const tag of tags) {
      expect(finds(surrogateKey(tag))).toBe(true);
      expect(finds(`other ${surrogateKey(tag)} more`)).toBe(true);
      expect(finds(`other,${surrogateKey(tag)},more`)).toBe(true);
    }
    for (const other of ['Course:12', 'XCourse:1', 'Course', 'aXb']) expect(finds(other)).toBe(false);
  });

  it('a JSON body, 30 keys at a time', async () => {
    const { url, asked } = await cache();
    const tags = Array.from({ length: 70 }, (_, i) => `t${i}`);
    await purgeByJson({ url, headers: { authorization: 'Bearer x' } }).purge(tags, signal);
    const bodies = asked.map(({ body }) => (JSON.parse(body) as { tags: string[] }).tags);
    expect(bodies.map((keys) => keys.length)).toEqual([30, 30, 10]);
    expect(bodies.flat()).toEqual(tags);
    expect(asked[0]?.headers).toMatchObject({ 'content-type': 'application/json', authorization: 'Bearer x' });
  });

  it('tells each node, and fails if one does not take it, by its status alone', async () => {
    const [sound, broken] = [await cache(), await cache((n) => (n === 1 ? 503 : 302))];
    const sink = purgeByHeader({ url: [sound.url, broken.url], name: 'nodes' });
    await expect(sink.purge(['a'], signal)).rejects.toThrow(/^answered 503$/);
    await expect(sink.purge(['a'], signal)).rejects.toThrow(/^answered 302$/);
    expect(sound.asked).toHaveLength(2);
    const gone = purgeByHeader({ url: 'http://127.0.0.1:1' });
    await expect(gone.purge(['a'], signal)).rejects.toThrow(/fetch failed/);
  });

  it('ends when its signal does', async () => {
    const server = createServer(() => undefined).listen(0, '127.0.0.1');
    servers.push(server);
    await new Promise((resolve) => server.once('listening', resolve));
    const sink = purgeByJson({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
    await expect(sink.purge(['a'], AbortSignal.timeout(50))).rejects.toThrow();
    server.closeAllConnections();
  });

  it.each([
    [() => purgeByHeader({} as never), 'purgeByHeader().url must be given'],
    [
      () => purgeByHeader({ url: 'varnish:6081' }),
      'url must be a URL that begins with http:// or https://; got a string',
    ],
    [() => purgeByHeader({ url: [] }), 'url must be a URL or several'],
    [() => purgeByHeader({ url: 'http://a', header: 'a b' }), 'header must be the name of a header'],
    [() => purgeByHeader({ url: 'http://a', as: 'regex' as never }), "as must be one of 'keys', 'pattern'"],
    [() => purgeByHeader({ url: 'http://a', headers: { token: 7 as never } }), 'headers.token must be a string'],
    [() => purgeByJson({ url: 'http://a', maxKey: 3 } as never), 'did you mean "maxKeys"?'],
    // fetch() refuses them, too, each time, and repeats them in its message.
    [() => purgeByJson({ url: 'https://app:hunter2@a' }), 'url must be a URL without user and password'],
    [
      () => purgeByHeader({ url: 'http://a', headers: { authorization: 'Bearer hunter2\nx' } }),
      'headers.authorization must be a header of visible characters',
    ],
    [
      () => purgeByHeader({ url: 'http://a', headers: { 'api key': 'hunter2' } }),
      'headers.api key must be the name of',
    ],
  ])('%s is refused', (make, message) => {
    expect(make).toThrow(message);
    expect(make).not.toThrow('hunter2');
  });

  it('takes a secret with the line break that files end in', () => {
    expect(purgeByHeader({ url: 'http://a', headers: { authorization: 'Bearer x\n' } }).name).toBe('a');
  });
});

describe('options', () => {
  it.each([
    [{ sinks: [{ name: 'a' }] }, 'purge.sinks[0] must be a sink such as purgeByHeader({ url })'],
    [{}, 'purge.sinks must be given'],
    [{ sinks: [], attempts: 0 }, 'purge.attempts must be a whole number of at least 1'],
    [{ sinks: [], timeout: 0 }, 'purge.timeout must be longer than 0'],
    [{ sinks: [], repeatAfter: 'soon' }, 'purge.repeatAfter must be milliseconds'],
    [{ sinks: [new HeldSink(), new HeldSink()] }, 'two are called "held"'],
  ])('%j stop the boot', async (purge, message) => {
    await expect(boot([TieredCacheModule.forRoot({ purge: purge as never })])).rejects.toThrow(message);
  });
});

describe('surrogateKey', () => {
  it.each([
    ['Course:42', 'Course:42'],
    ['a b', 'a%20b'],
    ['a,b', 'a%2Cb'],
    ['50%', '50%25'],
    ['ü', '%C3%BC'],
    ['a\r\nb: c', 'a%0D%0Ab:%20c'],
  ])('%j is %s', (tag, key) => {
    expect(surrogateKey(tag)).toBe(key);
  });

  it('a long one is a digest, one of its own', () => {
    const [one, other] = ['x', 'y'].map((end) => surrogateKey('long'.repeat(40) + end));
    expect(one).toMatch(/^~[\w-]{27}$/);
    expect(other).not.toBe(one);
  });
});
