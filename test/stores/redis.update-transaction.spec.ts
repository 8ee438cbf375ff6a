import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import type { CacheStore } from '../../src/stores/contract/cache-store.js';
import { redis, type RedisStoreOptions } from '../../src/stores/redis/index.js';
import { frame } from '../../src/testing/conformance.subject.js';
import { RecordingListener } from '../../src/testing/recording-listener.js';
import { FaultProxy } from '../servers/fault.proxy.js';
import { RedisServer } from '../servers/redis.server.js';

/** Remembers also when the store says that it was updated. */
class TimedListener extends RecordingListener {
  readonly times: number[] = [];
  override updated = (key: string, bytes: Uint8Array, at?: number): void => {
    this.times.push(at as number);
    this.frames.set(key, Uint8Array.from(bytes));
    this.changed([key]);
  };
}

const ALLOWED = '~tc:* &* -@all +get +mget +set +del +evalsha +script|load +publish +time +ping +info +quit +select';
const LISTENING = '+subscribe +client|id +client|tracking';

let server: RedisServer;
const opened: CacheStore[] = [];

beforeEach(async () => {
  server = await RedisServer.start();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
  await server.stop();
});

async function open(options: RedisStoreOptions = { url: server.url }) {
  const heard = new TimedListener();
  const store = redis(options);
  opened.push(store);
  store.open(heard);
  await heard.until('heard');
  return { store, heard };
}

/** A store that has learnt what it may, since it has written before. */
async function openAtWork(options?: RedisStoreOptions) {
  const { store, heard } = await open(options);
  await store.write('{before}', frame(), 10_000);
  // Answered after what was asked beside the first write.
  await store.now();
  await server.command('CONFIG', 'RESETSTAT');
  return { store, heard };
}

async function calls(command: string): Promise<number> {
  const stats = String(await server.command('INFO', 'commandstats'));
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}

async function user(rules: string): Promise<RedisStoreOptions> {
  await server.command(
    'ACL',
    'SETUSER',
    'strict',
    'on',
    '>pw',
    ...`${ALLOWED} ${LISTENING} ${rules}`.trim().split(' '),
  );
  return { url: `redis://strict:pw@127.0.0.1:${server.port}` };
}

it('writes alone by a transaction, with all that the script does', async () => {
  const other = await open();
  const { store } = await openAtWork();
  await server.command('SET', 'tc:l:{a}', 'a lease');
  const written = frame();
  expect(await store.write('{a}', written, 10_000)).toEqual({ written: true });
  expect([await calls('multi'), await calls('exec'), await calls('evalsha')]).toEqual([1, 1, 0]);
  expect((await store.read(['{a}']))[0]).toEqual(Buffer.from(written));
  expect(Number(await server.command('PTTL', 'tc:e:{a}'))).toBeGreaterThan(9000);
  expect(await server.command('EXISTS', 'tc:l:{a}')).toBe(0);
  await other.heard.until('changed', '{a}');
  expect(other.heard.frames.get('{a}')).toEqual(Uint8Array.from(written));
});

it('tells a time that the server has had, and not long ago', async () => {
  const { heard } = await open();
  const { store } = await openAtWork();
  const bounds: Array<[number, number]> = [];
  for (let i = 0; i < 200; i++) {
    const before = await store.now();
    await store.write(`{k${i}}`, frame(), 10_000);
    bounds.push([before, await store.now()]);
  }
  await heard.until('changed', '{k199}');
  expect(await calls('evalsha')).toBe(0);
  const times = heard.times.slice(-200);
  for (const [i, [before, after]] of bounds.entries()) {
    expect(times[i]).toBeLessThanOrEqual(after);
    // Of each answer as much is lost as it was on its way.
    expect(times[i]).toBeGreaterThan(before - 1000);
  }
});

it('writes by the script while anything else is under way', async () => {
  const { store } = await openAtWork();
  await Promise.all(Array.from({ length: 20 }, (_, i) => store.write(`{k${i}}`, frame(), 10_000)));
  expect([await calls('multi'), await calls('evalsha')]).toEqual([1, 19]);
});

it('asks only where the user may: without MULTI, or EXEC, all goes by scripts', async () => {
  for (const denied of ['', '+multi', '+exec']) {
    const { store, heard } = await openAtWork(await user(`resetpass >pw ${denied}`));
    for (let i = 0; i < 3; i++) await store.write(`{a${denied}${i}}`, frame(), 10_000);
    await heard.until('changed', `{a${denied}2}`);
    expect([await calls('evalsha'), await calls('set')]).toEqual([3, 3]);
    await server.command('ACL', 'DELUSER', 'strict');
  }
});

it('goes on by scripts when the user may no more, or may not publish: the value is written all the same', async () => {
  for (const taken of ['-exec', '-multi', 'resetchannels']) {
    const { store } = await openAtWork(await user('+multi +exec'));
    await store.write('{a}', frame(), 10_000);
    expect(await calls('multi')).toBe(1);
    await server.command('ACL', 'SETUSER', 'strict', taken);
    const [second, third] = [frame(), frame()];
    expect(await store.write('{b}', second, 10_000)).toEqual({ written: true });
    expect(await store.write('{c}', third, 10_000)).toEqual({ written: true });
    expect(await store.read(['{b}', '{c}'])).toEqual([Buffer.from(second), Buffer.from(third)]);
    expect(await calls('evalsha')).toBe(2);
    await server.command('ACL', 'DELUSER', 'strict');
  }
});

it('leaves a connection that was lent to scripts: the user may have a transaction under way, which it would end', async () => {
  const client = new Redis(server.url, { autoResendUnfulfilledCommands: false });
  onTestFinished(() => client.disconnect());
  const { store } = await openAtWork({ client });
  await client.multi({ pipeline: false });
  const writing = store.write('{a}', frame(), 10_000);
  await client.set('theirs', '1');
  expect(await client.exec()).toEqual([
    [null, 'OK'],
    [null, 1],
  ]);
  await writing;
  expect([await calls('multi'), await calls('exec')]).toEqual([1, 1]);
});

it('goes by scripts where the driver changes what it is given', async () => {
  const { store } = await openAtWork({ url: server.url, connection: { keyPrefix: 'app:' } });
  for (let i = 0; i < 3; i++) expect(await store.write('{a}', frame(), 10_000)).toEqual({ written: true });
  expect([await calls('multi'), await calls('evalsha')]).toEqual([0, 3]);
});

it('tells why the server refuses', async () => {
  const { store } = await openAtWork();
  await server.command('CONFIG', 'SET', 'maxmemory', '1');
  await expect(store.write('{a}', frame(), 10_000)).rejects.toMatchObject({
    reason: 'refused',
    message: expect.stringContaining('OOM') as string,
  });
  expect(await calls('multi')).toBe(1);
  await server.command('CONFIG', 'SET', 'maxmemory', '0');
  expect(await store.write('{a}', frame(), 10_000)).toEqual({ written: true });
});

it('fails as one when the connection goes, and asks the next one for its time before it tells any', async () => {
  const proxy = await FaultProxy.start(server.port);
  const { store, heard } = await openAtWork({ url: `redis://127.0.0.1:${proxy.port}` });
  proxy.blackhole();
  const lost = store.write('{a}', frame(), 10_000);
  proxy.cut();
  await expect(lost).rejects.toMatchObject({ reason: 'connection' });
  heard.clear();
  await proxy.heal();
  await heard.until('heard');
  await store.write('{b}', frame(), 10_000);
  expect(await calls('evalsha')).toBe(1);
  await store.now();
  await store.write('{c}', frame(), 10_000);
  expect(await calls('evalsha')).toBe(1);
  await proxy.stop();
});
