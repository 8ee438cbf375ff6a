import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MemoryStore } from '../../src/stores/memory/memory.store.js';
import { redisProcess } from '../locks/subject.js';
import { CacheEngine } from '../../src/core/cache-engine.js';
import { systemClock } from '../../src/core/clock/clock.js';
import { RedisServer } from '../servers/redis.server.js';
import { heard, openEngine } from './subject.js';

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());

/** What was sent before is answered meanwhile, and nobody reads the answer. */
function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

it('a read that is answered while the event loop is blocked for longer than its deadline is answered', async () => {
  const engine = await heard(openEngine(server.url));
  const cache = engine.namespace('default');
  await cache.set('k', 'v');
  engine.memory?.clear();
  const reading = cache.get('k');
  await turn();
  block(1000);
  expect((await reading).tier).toBe('remote');
  expect(cache.stats().storeFailures).toBe(0);
});

it('a lock that is granted while the event loop is blocked for longer than its deadline is granted', async () => {
  const { locks } = redisProcess(server.url, {}, { deadlineMs: 300 });
  await (await locks.acquire('warm')).release();
  const acquiring = locks.tryAcquire('k', { lease: '30s' });
  await turn();
  block(1000);
  const lease = await acquiring;
  expect(lease?.isHeld).toBe(true);
  await lease?.release();
});

it('a call whose process was without a processor between its steps is shared all the same', async () => {
  const { database } = new MemoryStore();
  let passed = 0;
  // Each look at it comes later than the deadline, and no timer has run meanwhile.
  const clock = { ...systemClock, now: () => systemClock.now() + (passed += 300) };
  const engine = new CacheEngine({ store: new MemoryStore({ database }), clock });
  const cache = engine.namespace('default');
  expect(await cache.getOrSet('k', () => 'loaded', { ttl: '1d', lease: '1d' })).toBe('loaded');
  expect(cache.stats().storeFailures).toBe(0);
  await engine.close();
  const other = new CacheEngine({ store: new MemoryStore({ database }) });
  expect((await other.namespace('default').get('k')).tier).toBe('remote');
  await other.close();
});
