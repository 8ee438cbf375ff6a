import { EventEmitter } from 'node:events';
import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { RedisServerTime } from '../../src/stores/redis/redis.server-time.js';

function connected() {
  const client = new EventEmitter();
  const time = new RedisServerTime();
  time.watch(client as Redis);
  return { client, time };
}

it('knows nothing before the first answer, nor on the next connection', () => {
  const { client, time } = connected();
  expect(time.least).toBeUndefined();
  time.learn(5000, time.connection);
  expect(time.least).toBeGreaterThanOrEqual(4999);
  client.emit('close');
  expect(time.least).toBeUndefined();
});

it('does not believe an answer of the connection of before', () => {
  const { client, time } = connected();
  const { connection } = time;
  client.emit('close');
  time.learn(5000, connection);
  expect(time.least).toBeUndefined();
});

it('goes by the newest answer, also of a server whose clock was put back', () => {
  const { time } = connected();
  time.learn(9000, time.connection);
  time.learn(5000, time.connection);
  expect(time.least).toBeLessThan(8000);
});

it('never says more than the time since the answer', async () => {
  const { time } = connected();
  const asked = performance.now();
  time.learn(5000, time.connection);
  for (let i = 0; i < 100; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    const least = time.least as number;
    expect(least).toBeLessThanOrEqual(5000 + performance.now() - asked);
  }
});
