import { Cluster, Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { CacheUsageError } from '../../src/core/errors/cache.error.js';
import { redis, redisLocks } from '../../src/stores/redis/index.js';
import { ownConnectionOptions } from '../../src/stores/redis/redis.options.js';
import { parseRedisUrl } from '../../src/stores/redis/redis.url.js';

const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof CacheUsageError) return error.code;
  }
  return 'no usage error';
};

describe('a redis url', () => {
  it.each([
    ['redis://cache', { host: 'cache', port: 6379, db: 0 }],
    ['redis://cache:7000/', { host: 'cache', port: 7000, db: 0 }],
    ['redis://[::1]:7000/3', { host: '::1', port: 7000, db: 3 }],
    ['rediss://:p%40ss%2F@cache/2', { host: 'cache', port: 6379, db: 2, password: 'p@ss/', tls: {} }],
    ['redis://us%65r:p@cache', { host: 'cache', port: 6379, db: 0, username: 'user', password: 'p' }],
  ])('%s is understood', (url, options) => {
    expect(parseRedisUrl(url)).toEqual(options);
  });

  it.each([
    '',
    'cache:6379',
    'http://canary@cache',
    'redis://',
    'redis://:canary@cache/x',
    'redis://:canary%@cache',
    'redis://:canary@c?db=1',
  ])('%j is refused without being repeated', (url) => {
    expect(code(() => redis({ url }))).toBe('invalid_url');
    expect(() => redis({ url })).not.toThrow(/canary/);
  });
});

describe('redis options', () => {
  it('name one server, a usable prefix and a timeout', () => {
    const client = new Redis({ lazyConnect: true });
    expect(code(() => redis({ url: 'redis://a', client }))).toBe('invalid_redis_options');
    for (const prefix of ['', 'a b', 'a{b', 'a}', 'ä', 'x'.repeat(65)])
      expect(code(() => redis({ prefix }))).toBe('invalid_redis_options');
    // Node's timers fire at once beyond 2^31 ms.
    for (const connectTimeout of [0, -1, Number.NaN, Infinity, 2 ** 31, 0.5, '1000' as never])
      expect(code(() => redis({ connectTimeout }))).toBe('invalid_redis_options');
    for (const confirmTimeout of [0, 2 ** 31, 1.5])
      expect(code(() => redisLocks({ confirmTimeout }))).toBe('invalid_redis_options');
    client.disconnect();
  });

  it('are known ones: what is misspelt would be the default server, or the default prefix', () => {
    const misspelt = { uri: 'redis://canary' } as never;
    expect(() => redis(misspelt)).toThrow(/^redis: unknown option "uri"; known are url, /);
    expect(() => redisLocks(misspelt)).toThrow(/^redis: unknown option "uri"/);
    expect(code(() => redisLocks({ confirmReplicas: 1, sendValuesUpTo: 5 }))).toBe('no usage error');
  });

  it('refuse to read from replicas, which have for a while what was invalidated', () => {
    const nodes = [{ host: '127.0.0.1', port: 1 }];
    for (const scaleReads of ['slave', 'all', (): never => undefined as never] as const) {
      const lent = new Cluster(nodes, { scaleReads, lazyConnect: true });
      for (const options of [
        { cluster: { nodes, options: { scaleReads } } },
        { client: lent },
        { store: { client: lent } },
      ])
        expect(() => redis(options)).toThrow(/^redis: scaleReads must be 'master'/);
      expect(code(() => redisLocks({ client: lent }))).toBe('no usage error');
      lent.disconnect();
    }
    expect(code(() => redis({ cluster: { nodes, options: { scaleReads: 'master' } } }))).toBe('no usage error');
  });

  it('refuse a client that gives texts for numbers, unless a connection of its own is opened in its place', () => {
    const one = new Redis({ stringNumbers: true, lazyConnect: true });
    const many = new Cluster([{ host: '127.0.0.1', port: 1 }], {
      redisOptions: { stringNumbers: true },
      lazyConnect: true,
    });
    for (const client of [one, many]) expect(() => redis({ client })).toThrow(/must not have stringNumbers/);
    expect(() => redisLocks({ client: many })).toThrow(/must not have stringNumbers/);
    expect(code(() => redisLocks({ client: one }))).toBe('no usage error');
    expect(ownConnectionOptions({ connection: { stringNumbers: true } }).stringNumbers).toBe(false);
    for (const client of [one, many]) client.disconnect();
  });

  it('open no connection before the store is opened or used', () => {
    expect(redis().name).toBe('redis');
  });

  it('declare no scan on a cluster', () => {
    const store = redis({ cluster: { nodes: [{ host: '127.0.0.1', port: 1 }] } });
    expect(store.capabilities).toMatchObject({ bus: true, scan: false });
  });
});
