import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
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

it('writes all the same where the user may not publish', async () => {
  const { store } = await openAtWork(await user('+multi +exec -publish'));
  const written = frame();
  expect(await store.write('{a}', written, 10_000)).toEqual({ written: true });
  expect(await store.read(['{a}'])).toEqual([Buffer.from(written)]);
  expect([await calls('multi'), await calls('evalsha')]).toEqual([0, 1]);
});

it('says so once when the user may no more, goes on by scripts, and by transactions when the user may again', async () => {
  for (const [taken, given] of [
    ['-exec', '+exec'],
    ['-multi', '+multi'],
    ['resetchannels', '&*'],
  ] as const) {
    const { store } = await openAtWork(await user('+multi +exec'));
    await store.write('{a}', frame(), 10_000);
    expect(await calls('multi')).toBe(1);
    await server.command('ACL', 'SETUSER', 'strict', taken);
    await expect(store.write('{b}', frame(), 10_000)).rejects.toMatchObject({ reason: 'refused' });
    await server.command('ACL', 'SETUSER', 'strict', given);
    const [third, fourth] = [frame(), frame()];
    expect(await store.write('{c}', third, 10_000)).toEqual({ written: true });
    expect(await calls('evalsha')).toBe(1);
    await store.now();
    expect(await store.write('{d}', fourth, 10_000)).toEqual({ written: true });
    expect(await store.read(['{c}', '{d}'])).toEqual([Buffer.from(third), Buffer.from(fourth)]);
    expect(await calls('evalsha')).toBe(1);
    await server.command('ACL', 'DELUSER', 'strict');
  }
});

describe('what is called in one turn is done in its order', () => {
  async function order(store: CacheStore): Promise<void> {
    const [large, last] = [new Uint8Array(Buffer.alloc(3000, frame())), frame()];
    for (let i = 0; i < 20; i++) {
      await Promise.all([store.write('{removed}', frame(), 10_000), store.remove(['{removed}'])]);
      await Promise.all([store.write('{large}', frame(), 10_000), store.write('{large}', large, 10_000)]);
      const added = store.write('{last}', frame(), 10_000);
      const add = store.write('{last}', last, 10_000, { absent: true });
      await added;
      expect((await add).written).toBe(false);
      expect(await store.read(['{removed}', '{large}'])).toEqual([undefined, Buffer.from(large)]);
      await store.remove(['{last}']);
    }
  }

  it('from the first on', async () => {
    const { store } = await open();
    await order(store);
  });

  it('at work, and while anything else is under way', async () => {
    const { store } = await openAtWork();
    await order(store);
    let isOver = false;
    const others = (async () => {
      while (!isOver) await store.read(['{other}']);
    })();
    await order(store);
    isOver = true;
    await others;
  });

  it('on a connection that was lent', async () => {
    const client = new Redis(server.url);
    onTestFinished(() => client.disconnect());
    const { store } = await open({ client });
    await order(store);
  });

  it('where the user may not', async () => {
    const { store } = await open(await user('+unlink +getrange'));
    await order(store);
  });
});

it('keeps replies in step where somebody wraps the driver and passes on the command alone', async () => {
  const { sendCommand } = Redis.prototype;
  const alone: typeof sendCommand = function (this: Redis, command) {
    return sendCommand.call(this, command);
  };
  Redis.prototype.sendCommand = alone;
  onTestFinished(() => void (Redis.prototype.sendCommand = sendCommand));
  const { store } = await openAtWork();
  const written = frame();
  const [outcome, tokens, found] = await Promise.all([
    store.write('{a}', written, 10_000),
    store.tokens(['t']),
    store.read(['{before}', '{none}']),
  ]);
  expect([outcome.written, tokens.length, found.length]).toEqual([true, 1, 2]);
  expect(await store.read(['{a}'])).toEqual([Buffer.from(written)]);
  expect(await calls('multi')).toBe(1);
});

it('leaves a connection that was lent to scripts: the user may have a transaction under way, which it would end', async () => {
  const client = new Redis(server.url, { autoResendUnfulfilledCommands: false });
  onTestFinished(() => client.disconnect());
  const { store } = await openAtWork({ client });
  await client.multi({ pipeline: false });
  const writing = store.write('{a}', frame(), 10_000);
  await client.set('theirs', '1');
  expect(await client.exec()).toEqual([
    [null, 1],
    [null, 'OK'],
  ]);
  await writing;
  expect([await calls('multi'), await calls('exec')]).toEqual([1, 1]);
});

it('goes by scripts where the driver changes what it is given', async () => {
  const { store } = await openAtWork({ url: server.url, connection: { keyPrefix: 'app:' } });
  for (let i = 0; i < 3; i++) expect(await store.write('{a}', frame(), 10_000)).toEqual({ written: true });
  expect([await calls('multi'), await calls('evalsha')]).toEqual([0, 3]);
});

it('keeps every byte', async () => {
  const other = await open();
  const { store } = await openAtWork();
  const every = Buffer.concat([frame(), Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))]);
  await store.write('{a}', every, 10_000);
  expect(await calls('multi')).toBe(1);
  expect(await store.read(['{a}'])).toEqual([every]);
  await other.heard.until('changed', '{a}');
  expect(Buffer.from(other.heard.frames.get('{a}') as Uint8Array)).toEqual(every);
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
