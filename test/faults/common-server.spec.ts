import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { redis } from '../../src/stores/redis/index.js';
import { RecordingListener } from '../../src/testing/recording-listener.js';
import { FaultProxy } from '../servers/fault.proxy.js';
import { RedisServer } from '../servers/redis.server.js';
import { heard, openEngine, until, type Fleet } from './subject.js';

let former: RedisServer;
let next: RedisServer;
beforeAll(async () => {
  [former, next] = await Promise.all([RedisServer.start(), RedisServer.start()]);
});
afterAll(() => Promise.all([former.stop(), next.stop()]));

beforeEach(async () => {
  await Promise.all([former, next].map((server) => server.command('FLUSHALL')));
});

async function proxied(): Promise<FaultProxy> {
  const proxy = await FaultProxy.start(former.port);
  onTestFinished(() => proxy.stop());
  return proxy;
}

/** `there` knows the servers by the proxy's address, and `here` is on the next one already. */
async function pair(proxy: FaultProxy, client?: Redis): Promise<Fleet> {
  const there = openEngine(client ? { client } : `redis://127.0.0.1:${proxy.port}`);
  const [listening, acting] = await Promise.all([heard(there), heard(openEngine(next.url))]);
  return { here: acting.namespace('default'), there: listening.namespace('default'), listening };
}

/** The kinds of the connections that `there` has to a server by now. */
async function kinds(server: RedisServer): Promise<string[]> {
  const found: string[] = [];
  for (const type of ['NORMAL', 'PUBSUB']) {
    const list = String(await server.command('CLIENT', 'LIST', 'TYPE', type));
    // Whoever asks is a normal one itself.
    for (const line of list.split('\n')) if (line !== '' && !line.includes('cmd=client|list')) found.push(type);
  }
  return found;
}

describe.each(['PUBSUB', 'NORMAL'])('an address leads to another server, and one connection moves (%s)', (type) => {
  it('the other one follows: what is changed there is heard', async () => {
    const proxy = await proxied();
    const { here, there, listening } = await pair(proxy);
    proxy.steer(next.port);
    await former.command('CLIENT', 'KILL', 'TYPE', type);
    await until(async () => (await kinds(former)).length === 0, 5000);
    await heard(listening);
    await until(() => here.set('k', 'old', { ttl: '1h' }), 1000);
    await until(async () => (await there.get('k')).tier === 'memory', 2000);
    await here.delete('k');
    await until(() => there.peek('k') === undefined, 1000);
    expect((await there.get('k')).isFound).toBe(false);
  });
});

it('commands that go on to the former server: nothing is remembered of it for longer than without news', async () => {
  const proxy = await proxied();
  const client = new Redis({ port: proxy.port, host: '127.0.0.1' });
  onTestFinished(() => client.disconnect());
  client.on('error', () => undefined);
  const { there, listening } = await pair(proxy, client);
  await there.set('k', 'old', { ttl: '1h' });
  proxy.steer(next.port);
  await former.command('CLIENT', 'KILL', 'TYPE', 'PUBSUB');
  await until(async () => String(await kinds(next)).includes('PUBSUB,PUBSUB'), 5000);
  // A client that is lent is not ours to disconnect.
  await until(async () => (await there.get('k')).tier === 'memory', 1000);
  expect((await there.explain('k')).memory?.expiresInMs).toBeLessThanOrEqual(5000);
  expect(listening.inspect().isHeard).toBe(false);
  client.disconnect(true);
  await heard(listening);
  expect((await there.get('k')).isFound).toBe(false);
});

it('what is asked before the driver says that it is connected is answered after it is known by whom', async () => {
  const proxy = await proxied();
  const client = new Redis({ port: proxy.port, host: '127.0.0.1', retryStrategy: () => 20 });
  onTestFinished(() => client.disconnect());
  client.on('error', () => undefined);
  const store = redis({ client });
  onTestFinished(() => store.close());
  const told = new RecordingListener();
  store.open(told);
  await told.until('heard');
  // In another packet than the answer before it.
  const info = client.info.bind(client) as (...args: unknown[]) => Promise<string>;
  client.info = (...args: unknown[]) => (args[0] === 'server' ? sleep(20).then(() => info(...args)) : info(...args));
  const order: string[] = [];
  told.flushed = () => void order.push('flushed');
  const answered = new Promise((resolve, reject) => {
    // It is ready for a turn of the loop before it says so.
    Object.defineProperty(client, 'status', {
      get: (): string => status,
      set: (next: string) => {
        status = next;
        if (next === 'ready') store.now().then(() => resolve(order.push('answered')), reject);
      },
    });
  });
  let status: string = 'ready';
  proxy.redirect(next.port);
  await answered;
  expect(order).toEqual(['flushed', 'answered']);
});

it('a lent client that may not ask whose run it is on, for a moment, is asked again', async () => {
  const client = new Redis(former.url);
  onTestFinished(() => client.disconnect());
  await client.ping();
  const info = client.info.bind(client) as (...args: unknown[]) => Promise<string>;
  let refusals = 0;
  client.info = (...args: unknown[]) => {
    if (refusals++ > 0) return info(...args);
    return Promise.reject(Object.assign(new Error('NOPERM for now'), { name: 'ReplyError' }));
  };
  const engine = await heard(openEngine({ client }));
  expect(refusals).toBeGreaterThan(1);
  expect(await engine.namespace('default').set('k', 1)).toBe(true);
});
