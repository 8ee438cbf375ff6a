import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, afterEach, describe, expect, it } from 'vitest';
import { redis, type RedisStoreOptions } from '../../src/stores/redis/index.js';
import type { CacheStore } from '../../src/stores/contract/cache-store.js';
import { frame } from '../../src/testing/conformance.subject.js';
import { RecordingListener } from '../../src/testing/recording-listener.js';
import { FaultProxy } from '../servers/fault.proxy.js';
import { RedisServer } from '../servers/redis.server.js';

let server: RedisServer;
const opened: CacheStore[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

async function listening(options: RedisStoreOptions = { url: server.url }) {
  const heard = new RecordingListener();
  const store = redis(options);
  opened.push(store);
  store.open(heard);
  await heard.until('heard');
  return { store, heard };
}

/** Ids of the connections that are in subscriber mode. */
async function subscribers(): Promise<string[]> {
  const list = String(await server.command('CLIENT', 'LIST', 'TYPE', 'pubsub'));
  return [...list.matchAll(/^id=(\d+)/gm)].map((match) => match[1] as string);
}

describe('what a redis store hears', () => {
  it('hears of a SET and a DEL by any other program', async () => {
    const { heard } = await listening();
    await server.command('SET', 'tc:e:{a}', 'foreign');
    await heard.until('changed', '{a}');
    heard.clear();
    await server.command('DEL', 'tc:e:{a}');
    await heard.until('changed', '{a}');
  });

  it('hears of an expiry', async () => {
    const { store, heard } = await listening();
    await store.write('{soon}', frame(), 20);
    await heard.until('changed', '{soon}');
    heard.clear();
    await heard.until('changed', '{soon}');
  });

  it('hears of FLUSHALL', async () => {
    const { store, heard } = await listening();
    await store.write('{a}', frame(), 10_000);
    await server.command('FLUSHALL');
    await heard.until('flushed');
  });

  it('does not hear of other prefixes, leases and plain keys', async () => {
    const { store, heard } = await listening();
    await server.command('MSET', 'tcx:e:{a}', '1', 'other', '1', 'tc:l:{a}', '1');
    await store.write('{last}', frame(), 10_000);
    await heard.until('changed', '{last}');
    expect(heard.names('changed')).toEqual(['{last}']);
    await server.command('FLUSHALL');
  });

  it('says that it is lost when its connection is killed, and hears again on a new one', async () => {
    const { heard } = await listening();
    heard.clear();
    for (const id of await subscribers()) await server.command('CLIENT', 'KILL', 'ID', id);
    await heard.until('lost');
    await heard.until('heard');
    await server.command('SET', 'tc:e:{after}', 'x');
    await heard.until('changed', '{after}');
    expect(heard.count('lost')).toBe(1);
    expect(heard.count('heard')).toBe(1);
  });

  it('says that it is lost when the server is killed, and hears again after its restart', async () => {
    const { store, heard } = await listening();
    heard.clear();
    await server.kill();
    await heard.until('lost');
    await server.restart();
    await heard.until('heard');
    await store.write('{back}', frame(), 10_000);
    await heard.until('changed', '{back}');
  });

  it('notices a link that is half open by its heartbeat', async () => {
    await using proxy = await FaultProxy.start(server.port);
    const { heard } = await listening({ url: `redis://127.0.0.1:${proxy.port}` });
    heard.clear();
    proxy.blackhole();
    await heard.until('lost');
    await proxy.heal();
    await heard.until('heard');
    await server.command('SET', 'tc:e:{healed}', 'x');
    await heard.until('changed', '{healed}');
  });

  it('stays lost while the server only accepts connections, and recovers', async () => {
    const { heard } = await listening();
    heard.clear();
    server.pause();
    await heard.until('lost');
    server.resume();
    await heard.until('heard');
  });

  it.each([
    { sendValuesUpTo: undefined, bytes: 1024, isSent: true },
    { sendValuesUpTo: undefined, bytes: 1025, isSent: false },
    { sendValuesUpTo: 2000, bytes: 2000, isSent: true },
    { sendValuesUpTo: 0, bytes: 17, isSent: false },
  ])('hears of an update of $bytes bytes once, if sent ($sendValuesUpTo): $isSent', async (sent) => {
    const { heard } = await listening();
    const { store: other } = await listening({ url: server.url, sendValuesUpTo: sent.sendValuesUpTo });
    const written = Buffer.alloc(sent.bytes, 'a:1,\r\n\0');
    await other.write('{a:%u00e9}', written, 10_000);
    await other.write('{last}', frame(), 10_000);
    await heard.until('changed', '{last}');
    await server.command('SET', 'tc:e:{end}', 'x');
    await heard.until('changed', '{end}');
    const times = heard.names('changed').filter((key) => key === '{a:%u00e9}').length;
    expect(times).toBe(sent.isSent ? 1 : 2);
    expect(heard.names('updated').includes('{a:%u00e9}')).toBe(sent.isSent);
    if (sent.isSent) expect(Buffer.from(heard.frames.get('{a:%u00e9}') as Uint8Array)).toEqual(written);
  });

  it('is sent what was filled if somebody else had asked for it meanwhile, and only then', async () => {
    const { heard, store } = await listening();
    const { store: other } = await listening();
    for (const key of ['{asked}', '{not asked}'])
      await other.acquire(key, { token: 'other', leaseMs: 10_000, fence: 'f' });
    const held = await store.acquire('{asked}', { token: 'one', leaseMs: 10_000, fence: 'f' });
    expect(held.outcome).toBe('held');
    // As before, also for who holds it.
    expect(await store.acquire('{asked}', { token: 'two', leaseMs: 10_000, fence: 'f' })).toEqual({
      outcome: 'held',
      remainingMs: expect.any(Number) as number,
    });
    expect(await other.renew('{asked}', 'other', 10_000)).toBe(true);
    const filled = frame();
    for (const key of ['{asked}', '{not asked}']) expect(await other.fill(key, 'other', filled, 10_000)).toBe(true);
    await heard.until('changed', '{not asked}');
    expect(heard.names('updated')).toEqual(['{asked}']);
    expect(Buffer.from(heard.frames.get('{asked}') as Uint8Array)).toEqual(Buffer.from(filled));
  });

  it('hears of a removal that came right after an update', async () => {
    const { heard } = await listening();
    const { store: other } = await listening();
    // So that the server knows the script.
    await other.remove(['{none}']);
    // The server finds both in one turn of its loop, and names the key once.
    server.pause();
    const both = Promise.all([other.write('{gone}', frame(), 10_000), other.remove(['{gone}'])]);
    await setImmediate();
    server.resume();
    await both;
    await heard.until('updated', '{gone}');
    await other.write('{last}', frame(), 10_000);
    await heard.until('updated', '{last}');
    const [first, ...later] = heard.names('changed').filter((key) => key === '{gone}');
    expect(first).toBe('{gone}');
    expect(later.length).toBeGreaterThan(0);
  });

  it('hears what this package does where tracking is refused, and says that it is lost with the connection', async () => {
    await server.command('ACL', 'SETUSER', 'plain', 'on', '>pw', '~*', '&*', '+@all', '-client|tracking');
    const heard = new RecordingListener();
    const store = redis({ url: `redis://plain:pw@127.0.0.1:${server.port}` });
    opened.push(store);
    store.open(heard);
    await heard.until('heard');
    const { store: other } = await listening();
    await other.acquire('{r}', { token: 'a', leaseMs: 10_000, fence: '' });
    await other.release('{r}', 'a');
    await heard.until('released', '{r}');
    await server.command('SET', 'tc:e:{foreign}', 'x');
    // Not there, but perhaps remembered elsewhere.
    await other.remove(['{gone}']);
    await heard.until('changed', '{gone}');
    await other.rotate(['name']);
    await heard.until('rotated', 'name');
    expect(heard.names('changed')).toEqual(['{gone}']);
    for (const id of await subscribers()) await server.command('CLIENT', 'KILL', 'ID', id);
    await heard.until('lost');
  });
});
