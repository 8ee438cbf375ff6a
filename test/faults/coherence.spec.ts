import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { FaultProxy } from '../servers/fault.proxy.js';
import { RedisServer } from '../servers/redis.server.js';
import { heard, openEngine, unhandledRejections, until, type Fleet } from './subject.js';

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());

/** `there` has `old` in its memory tier, for hours if nothing happens. */
async function remembering(url = server.url): Promise<Fleet> {
  await server.command('FLUSHALL');
  const [acting, listening] = await Promise.all([heard(openEngine(server.url)), heard(openEngine(url))]);
  const here = acting.namespace('default');
  const there = listening.namespace('default');
  expect(await here.set('k', 'old', { ttl: '1h', tags: ['t'] })).toBe(true);
  await until(async () => (await there.get('k')).tier === 'memory', 1000);
  return { here, there, listening };
}

describe('a listening connection that is half open', () => {
  it('is found out late, and what is in memory is served no longer for it', async () => {
    await using proxy = await FaultProxy.start(server.port);
    const memory = { maxEntries: 10, maxBytes: 1e6, maxStaleWithoutBusMs: 2500 };
    const listening = await heard(openEngine(`redis://127.0.0.1:${proxy.port}`, { memory }));
    const there = listening.namespace('default');
    await there.getOrSet('k', () => 'old', { ttl: '1h' });
    await until(async () => (await there.get('k')).tier === 'memory', 1000);
    proxy.blackhole();
    const served = until(() => there.peek('k') === undefined, 10_000);
    await until(() => !listening.inspect().isHeard, 3000);
    expect(there.peek('k')).toBe('old');
    expect(await served).toBeLessThan(2600);
  });
});

async function entryKeys(): Promise<string[]> {
  return (await server.command('KEYS', 'tc:e:*')) as string[];
}

describe('the memory tier of another process drops what', () => {
  const changes: Record<string, (fleet: Fleet) => Promise<unknown>> = {
    'is deleted': ({ here }) => here.delete('k'),
    'is under a cleared namespace': ({ here }) => here.clear(),
    'carries an invalidated tag': ({ here }) => here.invalidateTags(['t']),
    'is under a stamp that changes': ({ here }) => here.setStamp('2'),
    "is under an application's stamp that changes": ({ here }) => here.setApplicationStamp('2'),
    'is flushed (FLUSHALL)': () => server.command('FLUSHALL'),
    'is flushed (FLUSHDB)': () => server.command('FLUSHDB'),
    'somebody else deletes (DEL)': async () => server.command('DEL', ...(await entryKeys())),
    'somebody else expires (PEXPIRE)': async () => server.command('PEXPIRE', (await entryKeys())[0] as string, 1),
    'the server evicts': async () => {
      await server.config('maxmemory-policy', 'allkeys-lru');
      await server.config('maxmemory', 1);
      await server.command('SET', 'x', 'y').catch(() => undefined);
      await server.config('maxmemory', 0);
    },
  };

  it.each(Object.keys(changes))('%s', async (name) => {
    const fleet = await remembering();
    await changes[name]?.(fleet);
    await until(() => fleet.there.peek('k') === undefined, 1000);
    await until(async () => !(await fleet.there.get('k')).isFound, 1000);
  });

  it('is set anew, and reads the new value', async () => {
    const { here, there } = await remembering();
    await here.set('k', 'new');
    await until(() => there.peek('k') !== 'old', 1000);
    expect((await there.get('k')).value).toBe('new');
    await until(() => there.peek('k') === undefined, 1000);
    expect((await there.get('k')).value).toBe('new');
    expect(there.peek('k')).toBe('new');
  });

  it('is expired, and knows it is stale', async () => {
    const { here, there } = await remembering();
    await here.expire('k');
    await until(() => there.peek('k') === undefined, 1000);
    expect(await there.get('k')).toMatchObject({ isFound: true, isStale: true });
  });
});

describe('where the server refuses to track, the memory tier of another process drops what', () => {
  const changes: Record<string, (fleet: Fleet) => Promise<unknown>> = {
    'is deleted': ({ here }) => here.delete('k'),
    'is deleted when the store has it no more': async ({ here }) => {
      await server.command('DEL', ...(await entryKeys()));
      await here.delete('k');
    },
    'is under a cleared namespace': ({ here }) => here.clear(),
    'carries an invalidated tag': ({ here }) => here.invalidateTags(['t']),
    'is under a stamp that changes': ({ here }) => here.setStamp('2'),
    "is under an application's stamp that changes": ({ here }) => here.setApplicationStamp('2'),
    'is loaded anew': ({ here }) => here.getOrSet('k', () => 'new', { forceFresh: true }),
    'was missed while its connection was killed': () => server.command('CLIENT', 'KILL', 'TYPE', 'pubsub'),
  };

  it.each(Object.keys(changes))('%s', async (name) => {
    await server.command('ACL', 'SETUSER', 'deaf', 'on', '>pw', '~*', '&*', '+@all', '-client|tracking');
    const fleet = await remembering(`redis://deaf:pw@127.0.0.1:${server.port}`);
    expect(fleet.there.peek('k')).toBe('old');
    await changes[name]?.(fleet);
    await until(() => fleet.there.peek('k') === undefined, 1000);
  });

  it('is set anew, for the new value', async () => {
    await server.command('ACL', 'SETUSER', 'deaf', 'on', '>pw', '~*', '&*', '+@all', '-client|tracking');
    const { here, there } = await remembering(`redis://deaf:pw@127.0.0.1:${server.port}`);
    await here.set('k', 'new');
    await until(() => there.peek('k') === 'new', 1000);
  });
});

describe('a user who may use no channels', () => {
  it('changes what is to be changed, once, and remembers for 5 s at most', async () => {
    await server.command('ACL', 'SETUSER', 'mute', 'on', '>pw', '~*', 'resetchannels', '+@all');
    const muted = openEngine(`redis://mute:pw@127.0.0.1:${server.port}`);
    const here = muted.namespace('default');
    const { there } = await remembering();
    const ends: Array<(key: string) => Promise<unknown>> = [
      (key) => here.delete(key),
      (key) => here.expire(key),
      () => here.invalidateTags(['t']),
      () => here.clear(),
    ];
    for (const end of ends) {
      expect(await here.set('k', 'mine', { ttl: '1h', tags: ['t'] })).toBe(true);
      await until(async () => (await there.get('k')).tier === 'memory' && there.peek('k') === 'mine', 2000);
      await end('k');
      await until(() => there.peek('k') === undefined, 1000);
    }
    expect(await here.getOrSet('loaded', () => 'value')).toBe('value');
    expect(here.stats()).toMatchObject({ queued: 0, storeFailures: 0 });
    expect((await here.explain('loaded')).memory?.expiresInMs ?? 0).toBeLessThanOrEqual(5000);
  });
});

describe('what another program does to an entry in the very moment of its update', () => {
  it('is noticed within 50 ms', async () => {
    const { here, there } = await remembering();
    const [key] = (await entryKeys()) as [string];
    const client = new Redis({ port: server.port });
    onTestFinished(() => client.disconnect());
    await here.set('k', 'new');
    const frame = (await client.getBuffer(key)) as Buffer;
    await here.set('k', 'old');
    await until(async () => (await there.get('k')).tier === 'memory', 1000);
    const name = key.slice('tc:e:'.length);
    // By then the update is surely newer than what is known.
    const known = performance.now();
    await until(() => performance.now() > known + 10, 1000);
    const deleteAtOnce = `
      local time = redis.call('TIME')
      redis.call('SET', KEYS[1], ARGV[2])
      redis.call('PUBLISH', 'tc:upd', ARGV[1] .. time[1] .. '.' .. time[2] .. ':' .. ARGV[2])
      redis.call('DEL', KEYS[1])`;
    await client.eval(deleteAtOnce, 1, key, `u${name.length}:${name}`, frame);
    await until(() => there.peek('k') === undefined, 1000);
    expect((await there.get('k')).isFound).toBe(false);
  });
});

describe('a listening connection that is killed', () => {
  it.each(['delete', 'clear', 'set', 'setStamp', 'setApplicationStamp'] as const)(
    'while another process calls %s: nothing old is read afterwards',
    async (method) => {
      const unhandled = unhandledRejections();
      for (let round = 0; round < 5; round++) {
        const { here, there, listening } = await remembering();
        // In one batch, so that the change falls into the gap.
        const [, changed] = await Promise.all([
          server.command('CLIENT', 'KILL', 'TYPE', 'pubsub'),
          method === 'set' ? here.set('k', 'new') : here[method](method === 'delete' ? 'k' : (`${round}` as never)),
        ]);
        if (method === 'set' || method === 'delete') expect(changed).toBe(true);
        await until(() => !listening.inspect().isHeard || there.peek('k') === undefined, 1000);
        await heard(listening);
        expect(there.peek('k')).not.toBe('old');
        const read = await there.get('k');
        expect(read.isFound && read.value).toBe(method === 'set' ? 'new' : false);
      }
      expect(unhandled).toEqual([]);
    },
  );

  it('is missed only for a moment, and the memory tier serves no longer than its limit meanwhile', async () => {
    const { there, listening } = await remembering();
    await server.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(() => !listening.inspect().isHeard, 1000);
    expect(await until(() => listening.inspect().isHeard, 1000)).toBeLessThan(1000);
    expect(there.peek('k')).toBeUndefined();
    expect((await there.get('k')).tier).toBe('remote');
    expect((await there.get('k')).tier).toBe('memory');
  });
});
