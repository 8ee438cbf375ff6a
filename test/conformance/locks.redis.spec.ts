import { afterAll, beforeAll, describe, it } from 'vitest';
import { redisLocks } from '../../src/stores/redis/index.js';
import { lockStoreConformance } from '../../src/testing/lock-store-conformance.js';
import { RedisServer } from '../servers/redis.server.js';

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());

lockStoreConformance({
  describe,
  it,
  name: 'redis lock store',
  create: () => ({
    store: () => redisLocks({ url: server.url, prefix: 'conformance' }),
    flush: async () => void (await server.command('FLUSHALL')),
    close: async () => void (await server.command('FLUSHALL')),
  }),
});
