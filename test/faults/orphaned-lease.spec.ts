import { setImmediate as turn } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { makeStamp } from '../../src/core/keys/stamp.js';
import { FaultProxy } from '../servers/fault.proxy.js';
import { RedisServer } from '../servers/redis.server.js';
import { heard, openEngine, until } from './subject.js';

const LEASE = `tc:l:${makeStamp({})}:default:{k}`;

it('a lease that the driver of a lent client asks for again, after a lost connection, is nobody’s: it is given up', async () => {
  const server = await RedisServer.start();
  onTestFinished(() => server.stop());
  const proxy = await FaultProxy.start(server.port);
  onTestFinished(() => proxy.stop());
  const client = new Redis({ host: '127.0.0.1', port: proxy.port, retryStrategy: () => 20 });
  client.on('error', () => undefined);
  onTestFinished(() => client.disconnect());
  const cache = (await heard(openEngine({ client }))).namespace('default');
  await cache.getOrSet('warm', () => 1);
  const asked: string[] = [];
  const monitor = await new Redis(server.url).monitor();
  onTestFinished(() => monitor.disconnect());
  monitor.on('monitor', (_time: string, args: string[]) => asked.push(args.join(' ')));

  proxy.blackhole();
  const call = cache.getOrSet('k', () => 'alone', { onCold: 'throw', lease: '1h' });
  await turn();
  proxy.cut();
  expect(await call).toBe('alone');
  await proxy.heal();
  await until(() => asked.some((command) => command.includes(LEASE)), 5000);
  await until(async () => (await server.command('EXISTS', LEASE)) === 0, 2000);
});
