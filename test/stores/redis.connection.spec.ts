import { Redis, type RedisOptions } from 'ioredis';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/core/errors/cache.error.js';
import type { CacheStore } from '../../src/stores/contract/cache-store.js';
import { redis, redisLocks, type RedisStoreOptions } from '../../src/stores/redis/index.js';
import { frame, request } from '../../src/testing/conformance.subject.js';
import { RecordingLockListener } from '../../src/testing/lock-conformance.subject.js';
import { RecordingListener } from '../../src/testing/recording-listener.js';
import { until } from '../faults/subject.js';
import { FaultProxy } from '../servers/fault.proxy.js';
import { freePort } from '../servers/free.port.js';
import { RedisServer } from '../servers/redis.server.js';

let server: RedisServer;
const opened: CacheStore[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
  await server.command('FLUSHALL');
});

function open(options: RedisStoreOptions = { url: server.url }, heard = new RecordingListener()): CacheStore {
  const store = redis(options);
  opened.push(store);
  store.open(heard);
  return store;
}

async function calls(command: string): Promise<number> {
  const stats = String(await server.command('INFO', 'commandstats'));
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}

const failure = (operation: Promise<unknown>): Promise<StoreUnavailableError> =>
  operation.then(
    () => expect.fail('it should have failed'),
    (error: StoreUnavailableError) => error,
  );

describe('one tick', () => {
  it('reads entries and tokens by one MGET', async () => {
    const store = open();
    await store.tokens(['t1', 't2']);
    await store.write('{a}', frame(), 10_000);
    await server.command('CONFIG', 'RESETSTAT');
    const [one, two, tokens] = await Promise.all([
      store.read(['{a}']),
      store.read(['{b}', '{a}']),
      store.tokens(['t2', 't1']),
    ]);
    expect([one.length, two.length, tokens.length]).toEqual([1, 2, 2]);
    expect(await calls('mget')).toBe(1);
    expect(await calls('get')).toBe(0);
    expect(String(await server.command('INFO', 'commandstats'))).not.toMatch(/rejected_calls=[1-9]/);
  });

  it('removes many keys, on every one of which the lease is destroyed', async () => {
    const store = open();
    const keys = Array.from({ length: 1200 }, (_, i) => `{k${i}}`);
    await Promise.all(keys.map((key) => store.write(key, frame(), 10_000)));
    expect((await store.read(keys)).every(Boolean)).toBe(true);
    expect(await store.remove(keys)).toBe(1200);
    expect(await server.command('DBSIZE')).toBe(0);
  });
});

describe('scripts', () => {
  it('are loaded again when the server forgot them, and never sent by EVAL', async () => {
    const store = open();
    await store.rotate(['t']);
    await server.command('SCRIPT', 'FLUSH');
    await server.command('CONFIG', 'RESETSTAT');
    await Promise.all([store.rotate(['t']), store.rotate(['t', 'u']), store.acquire('{a}', request())]);
    expect(await calls('eval')).toBe(0);
    expect(await calls('script\\|load')).toBe(2);
  });

  it('run as the least-privilege user of the documentation', async () => {
    const user =
      'on >pw resetkeys ~tc:* resetchannels &tc:* &__redis__:invalidate -@all +get +getrange +mget +set +del +unlink +pexpire ' +
      '+pttl +time +evalsha +script|load +publish +ping +info +quit +select +subscribe +client|id +client|tracking';
    await server.command('ACL', 'SETUSER', 'strict', ...user.split(' '));
    const heard = new RecordingListener();
    const store = open({ url: `redis://strict:pw@127.0.0.1:${server.port}` }, heard);
    const asked = request();
    await heard.until('heard');
    await store.acquire('{a}', asked);
    await store.renew('{a}', asked.token, 1000);
    await store.release('{a}', asked.token);
    await store.acquire('{a}', asked);
    expect(await store.fill('{a}', asked.token, frame(), 1000)).toBe(true);
    expect((await store.acquire('{a}', asked)).outcome).toBe('value');
    expect((await store.write('{a}', frame(), Infinity)).written).toBe(true);
    expect((await store.read(['{a}'])).length).toBe(1);
    expect(await store.tokens(['t'])).toHaveLength(1);
    expect(await store.rotate(['t'])).toHaveLength(1);
    expect(await store.now()).toBeGreaterThan(0);
    expect(await store.remove(['{a}'])).toBe(1);
  });
});

describe('a server that is not there', () => {
  it('is no error at boot, fails operations at once, and is found when it comes', async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', note);
    const port = await freePort();
    const heard = new RecordingListener();
    const store = open({ url: `redis://127.0.0.1:${port}` }, heard);
    expect(await failure(store.read(['{a}']))).toMatchObject({ code: 'store_unavailable', reason: 'connection' });
    const began = performance.now();
    await Promise.all(Array.from({ length: 100 }, () => failure(store.tokens(['t']))));
    expect(performance.now() - began).toBeLessThan(200);
    await using late = await RedisServer.start({ port });
    await heard.until('heard');
    expect(await store.read(['{a}'])).toEqual([undefined]);
    await late.stop();
    await store.close();
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });

  it('is waited for during the first attempt only', async () => {
    const store = open();
    expect(await store.read(['{a}'])).toEqual([undefined]);
    await server.kill();
    const lost = await failure(store.now());
    expect(lost.reason).toBe('connection');
    await server.restart();
    await expect.poll(() => store.now().then(Boolean, () => false), { timeout: 5000 }).toBe(true);
  });

  it('is reconnected when its link is half open', async () => {
    await using proxy = await FaultProxy.start(server.port);
    const store = open({ url: `redis://127.0.0.1:${proxy.port}` });
    await store.now();
    proxy.blackhole();
    expect((await failure(store.read(['{a}']))).reason).toBe('connection');
    await proxy.heal();
    await expect.poll(() => store.now().then(Boolean, () => false), { timeout: 5000 }).toBe(true);
  });

  it('closes while it is being looked for, leaving nothing behind', async () => {
    const before = process.getActiveResourcesInfo().length;
    const absent = redis({ url: `redis://127.0.0.1:${await freePort()}` });
    const present = redis({ url: server.url });
    const never = redis({ url: server.url });
    for (const store of [absent, present]) store.open(new RecordingListener());
    await failure(absent.now());
    await present.now();
    await Promise.all([absent, present, never].map((store) => store.close()));
    expect((await failure(present.read(['{a}']))).reason).toBe('closed');
    expect((await failure(never.read(['{a}']))).reason).toBe('closed');
    await expect.poll(() => process.getActiveResourcesInfo().length).toBeLessThanOrEqual(before);
  });
});

describe('errors', () => {
  it('tell the code of a refusal and nothing of the command', async () => {
    const store = open();
    await store.now();
    await server.config('maxmemory', 1);
    const error = await failure(store.write('{user-key}', frame('canary-value'), 1000));
    await server.config('maxmemory', 0);
    expect(error).toBeInstanceOf(StoreUnavailableError);
    expect(error).toMatchObject({ reason: 'refused', operation: 'write' });
    expect(error.message).toContain('OOM');
    expect(inspect(error, { depth: 10 })).not.toMatch(/canary-value|user-key|\bEVALSHA\b/);
  });

  it('do not tell the password', async () => {
    await using locked = await RedisServer.start({ password: 'right' });
    const store = open({ url: `redis://:canary-password@127.0.0.1:${locked.port}` });
    const error = await failure(store.read(['{a}']));
    expect(error.reason).toBe('connection');
    expect(inspect(error, { depth: 10 })).not.toContain('canary');
  });
});

describe('a client of the user', () => {
  it('is used, honours its keyPrefix, and is not closed', async () => {
    const client = new Redis(server.port, '127.0.0.1', { keyPrefix: 'app:' });
    const heard = new RecordingListener();
    const store = open({ store: { client }, prefix: 'mine' }, heard);
    await heard.until('heard');
    const value = frame();
    await store.write('{a}', value, 10_000);
    await store.tokens(['t']);
    expect(await store.read(['{a}'])).toEqual([Buffer.from(value)]);
    expect([...((await server.command('KEYS', '*')) as string[])].sort()).toEqual(['app:mine:e:{a}', 'app:mine:t:t']);
    await heard.until('changed', '{a}');
    await heard.until('rotated', 't');
    await store.close();
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });

  it.each([{}, { keyPrefix: 'épicerie:' }, { enableAutoPipelining: true }, { showFriendlyErrorStack: true }])(
    'keeps every byte, hears and locks, with %j',
    async (options: RedisOptions) => {
      const client = new Redis(server.port, '127.0.0.1', options);
      const heard = new RecordingListener();
      const store = open({ client }, heard);
      await heard.until('heard');
      const every = Buffer.concat([frame(), Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))]);
      const lease = { token: 'one', leaseMs: 10_000, fence: 'f' };
      await store.acquire('{filled}', lease);
      expect(await store.fill('{filled}', 'one', every, 10_000)).toBe(true);
      expect(await store.write('{sent}', every, 10_000)).toEqual({ written: true });
      await heard.until('updated', '{sent}');
      expect(Buffer.from(heard.frames.get('{sent}') as Uint8Array)).toEqual(every);
      expect(await store.write('{for ever}', every, Infinity)).toEqual({ written: true });
      expect(await store.write('{sent}', Buffer.alloc(0), 10_000, { seen: every })).toEqual({ written: true });
      expect(await store.write('{sent}', every, 10_000, { seen: every })).toEqual({
        written: false,
        frame: Buffer.alloc(0),
      });
      expect(await store.read(['{filled}', '{for ever}'])).toEqual([every, every]);
      await server.command('SET', `${options.keyPrefix ?? ''}tc:e:{foreign}`, 'x');
      await heard.until('changed', '{foreign}');
      const locks = redisLocks({ client });
      locks.open(new RecordingLockListener());
      const request = { owner: 'one', leaseMs: 10_000, waitMs: 0, maxQueue: 1 };
      expect(await locks.acquire('{lock}', request)).toMatchObject({ outcome: 'granted' });
      expect(await locks.release('{lock}', 'one')).toBe('released');
      await locks.close();
      client.disconnect();
    },
  );
});

it('refusals of a server that has become a replica leave its connection once for all of a moment, and it is connected anew', async () => {
  const warnings: string[] = [];
  const warned = ({ name }: Error): unknown => warnings.push(name);
  process.on('warning', warned);
  const store = open();
  await store.now();
  await server.command('REPLICAOF', '127.0.0.1', '1');
  const connections = async (): Promise<number> =>
    Number(/total_connections_received:(\d+)/.exec(String(await server.command('INFO', 'stats')))?.[1]);
  const before = await connections();
  const refusals = Array.from({ length: 50 }, (_, i) => failure(store.write(`{k${i}}`, frame(), 10_000)));
  for (const { reason } of await Promise.all(refusals)) expect(reason).toBe('refused');
  await until(async () => (await connections()) > before, 2000);
  await server.command('REPLICAOF', 'NO', 'ONE');
  await until(
    () =>
      store.write('{k}', frame(), 10_000).then(
        ({ written }) => written,
        () => false,
      ),
    2000,
  );
  process.off('warning', warned);
  expect(warnings).toEqual([]);
});
