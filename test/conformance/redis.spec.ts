import { afterAll, beforeAll, describe, it } from 'vitest';
import { redis } from '../../src/stores/redis/index.js';
import { storeConformance } from '../../src/testing/store-conformance.js';
import { RedisServer } from '../servers/redis.server.js';

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());

storeConformance({
  describe,
  it,
  name: 'redis store whose user may not track',
  create: async () => {
    await server.command('ACL', 'SETUSER', 'deaf', 'on', '>pw', '~*', '&*', '+@all', '-client|tracking');
    return {
      store: () => redis({ url: `redis://deaf:pw@127.0.0.1:${server.port}`, prefix: 'deaf' }),
      close: async () => void (await server.command('FLUSHALL')),
    };
  },
});

storeConformance({
  describe,
  it,
  name: 'redis store',
  create: () => ({
    store: () => redis({ url: server.url, prefix: 'conformance' }),
    flush: async () => void (await server.command('FLUSHALL')),
    close: async () => void (await server.command('FLUSHALL')),
  }),
});
