import { afterAll, beforeAll, describe, it } from 'vitest';
import { memcachedLocks } from '../../src/stores/memcached/index.js';
import { lockStoreConformance } from '../../src/testing/lock-store-conformance.js';
import { MemcachedServer } from '../servers/memcached.server.js';

let server: MemcachedServer;
beforeAll(async () => {
  server = await MemcachedServer.start();
});
afterAll(() => server.stop());

lockStoreConformance({
  describe,
  it,
  name: 'memcached lock store',
  lacks: ['fencing', 'queue', 'records'],
  // It counts whole seconds.
  slackMs: 3000,
  create: () => ({
    store: () => memcachedLocks({ url: server.url, prefix: 'conformance' }),
    flush: async () => void (await server.command('flush_all')),
    close: async () => void (await server.command('flush_all')),
  }),
});
