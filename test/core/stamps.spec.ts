import { afterAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { CacheService } from '../../src/core/cache.service.js';
import type { LoadOptions, NamespaceOptions } from '../../src/core/cache.options.js';
import { CacheEngine } from '../../src/core/cache-engine.js';
import { StoreUnavailableError } from '../../src/core/errors/cache.error.js';
import { RequestScope } from '../../src/core/tiers/request.scope.js';
import { MemoryStore } from '../../src/stores/memory/memory.store.js';
import { until } from '../faults/subject.js';
import { FLEETS, Gate, never, stopFleets, type Fleet, type Member } from '../functions/fleet.js';

afterAll(stopFleets);

/** Long enough for all to hear of it on a busy machine. */
const GRACE_MS = 1000;
/** A process knows the store's time to half a round trip, which is not believed above 100 ms. */
const CLOCK_MS = 50;
const BACKGROUND: LoadOptions = { ttl: '1h', softTimeout: 0 };
const namespaces: NamespaceOptions[] = [{ name: 'default' }, { name: 'other' }];

describe.each(FLEETS)('stamps that change at run time, on $name', ({ open }) => {
  let fleet: Fleet;
  let here: CacheService;
  let there: CacheService;
  let members: Member[];
  beforeEach(async () => {
    fleet = await open();
    members = [await fleet.join({ namespaces }), await fleet.join({ namespaces })];
    [here, there] = members.map(({ cache }) => cache) as [CacheService, CacheService];
  });

  /** Both have it in memory. */
  async function known(key: string, value: unknown, where = ''): Promise<void> {
    const caches = [here, there].map((cache) => (where === '' ? cache : cache.namespace(where)));
    await caches[0]?.set(key, value, { ttl: '1h' });
    // The write is reported to who wrote it, too; and an update is believed for 50 ms.
    const written = performance.now();
    await until(() => performance.now() > written + 60, 1000);
    for (const cache of caches) await until(async () => (await cache.get(key)).tier === 'memory', 2000);
  }

  async function forgotten(cache: CacheService, key: string): Promise<void> {
    await until(() => cache.peek(key) === undefined, 1000);
    expect(await cache.get(key)).toMatchObject({ isFound: false });
  }

  it('void what a namespace has: here at once, in every process, and in no other namespace', async () => {
    await known('k', 'old');
    await known('k', 'other', 'other');
    await here.setStamp('2');
    expect(here.peek('k')).toBeUndefined();
    expect((await here.get('k')).isFound).toBe(false);
    await forgotten(there, 'k');
    expect(await there.getOrSet('k', () => 'new')).toBe('new');
    expect(await here.getOrSet('k', never)).toBe('new');
    for (const cache of [here, there]) expect(await cache.namespace('other').getOrSet('k', never)).toBe('other');
  });

  it('of the application void what all namespaces have, also those that the caller does not know', async () => {
    const apart = await fleet.join({ namespaces: [{ name: 'apart' }] });
    await known('k', 'old');
    await apart.engine.namespace('apart').set('k', 'old');
    await here.namespace('other').setApplicationStamp('2');
    for (const cache of [here, there]) await forgotten(cache, 'k');
    await forgotten(apart.engine.namespace('apart'), 'k');
  });

  it('announced again change nothing, by whichever process', async () => {
    await here.setStamp('2', { grace: '1m' });
    await here.setApplicationStamp('r1');
    await known('k', 'value');
    const late = await fleet.join({ namespaces });
    for (const cache of [here, there, late.cache]) {
      await cache.setStamp('2', { grace: '1m' });
      await cache.setApplicationStamp('r1');
    }
    for (const cache of [here, there, late.cache]) {
      expect(await cache.getOrSet('k', never)).toBe('value');
      await until(async () => (await cache.get('k')).tier === 'memory', 1000);
    }
  });

  it('that return to a former one bring back nothing', async () => {
    await here.setStamp('1');
    await known('k', 'old');
    await here.setStamp('2');
    await there.setStamp('1', { grace: '1m' });
    for (const cache of [here, there]) await forgotten(cache, 'k');
  });

  it.each(['here', 'there'] as const)(
    'called %s while a loader runs here: its result is served to its callers and to nobody after them',
    async (where) => {
      const gate = new Gate<string>();
      const loading = here.getOrSet('k', gate.load);
      await gate.begun;
      const caller = where === 'here' ? here : there;
      await caller.setStamp('2');
      // Not joined, and not waited for: what is loaded under the old stamp is void already.
      const next = caller.getOrSet('k', () => 'new');
      expect(await next).toBe('new');
      gate.open('old');
      expect(await loading).toBe('old');
      for (const cache of [here, there]) expect(await cache.getOrSet('k', never)).toBe('new');
    },
  );

  it('hold for a process that starts later', async () => {
    await known('k', 'old');
    await here.setStamp('2');
    expect((await (await fleet.join({ namespaces })).cache.get('k')).isFound).toBe(false);
  });

  it.each([
    ['', /^stamp must be a non-empty string; got an empty one$/],
    [7, /^stamp must be a non-empty string; got a number$/],
  ])('are refused where they are no text: %o', async (stamp, message) => {
    const off = new CacheEngine({ store: new MemoryStore(), enabled: false }).namespace('default');
    await expect(off.setStamp(stamp as string)).rejects.toThrow(message);
    await known('k', 'value');
    await expect(here.setStamp(stamp as string)).rejects.toThrow(message);
    await expect(here.setApplicationStamp(stamp as string)).rejects.toThrow(message);
    await expect(here.setStamp('2', { grace: 'soon' as never })).rejects.toThrow(/^grace must be milliseconds/);
    expect(here.peek('k')).toBe('value');
  });

  describe('with a grace', () => {
    it('have what is there served for stale while one process refreshes it, and the new value fresh for all', async () => {
      await known('k', 'old');
      await here.setStamp('2', { grace: '1m' });
      for (const cache of [here, there]) {
        await until(() => cache.peek('k') === undefined, 1000);
        const hit = await cache.get('k');
        expect([hit.value, hit.isStale]).toEqual(['old', true]);
        const { remote } = await cache.explain('k');
        expect(remote).toMatchObject({ state: 'stale' });
        expect((remote as { expiresInMs: number }).expiresInMs).toBeLessThanOrEqual(60_000);
      }
      const gate = new Gate<string>();
      expect(await there.getOrSet('k', gate.load, BACKGROUND)).toBe('old');
      expect(await here.getOrSet('k', gate.load, BACKGROUND)).toBe('old');
      gate.open('new');
      for (const cache of [here, there])
        await until(async () => (await cache.getOrSet('k', never, BACKGROUND)) === 'new', 2000);
      expect(gate.runs).toBe(1);
      expect(await here.get('k')).toMatchObject({ isStale: false });
    });

    it('of the namespace and of the application together: still served', async () => {
      await known('k', 'old');
      await here.setStamp('2', { grace: '1m' });
      await there.setApplicationStamp('r2', { grace: '1m' });
      for (const cache of [here, there]) await until(async () => (await cache.get('k')).isStale, 1000);
      await here.setApplicationStamp('r3');
      for (const cache of [here, there]) await forgotten(cache, 'k');
    });

    it('serve nothing once it is over: not from memory, not from the store, not to who was waiting', async () => {
      await known('k', 'old');
      await known('waited', 'old');
      await here.setStamp('2', { grace: GRACE_MS });
      const ended = performance.now() + GRACE_MS + CLOCK_MS;
      await until(async () => (await there.get('k')).isStale, GRACE_MS);
      const gate = new Gate<string>();
      const waiting = there.getOrSet('waited', gate.load, { softTimeout: GRACE_MS + 200 });
      await until(() => performance.now() > ended, 2 * GRACE_MS);
      for (const cache of [here, there]) expect(await cache.get('k')).toMatchObject({ isFound: false });
      await until(() => performance.now() > ended + 300, 2 * GRACE_MS);
      gate.open('new');
      expect(await waiting).toBe('new');
    });

    it('serve the one stamp of before, and none before that', async () => {
      await here.setStamp('1');
      await known('first', 'old');
      await here.setStamp('2', { grace: '1m' });
      await known('second', 'old');
      await here.setStamp('3', { grace: '1m' });
      for (const cache of [here, there]) {
        await until(async () => (await cache.get('second')).isStale, 1000);
        await forgotten(cache, 'first');
      }
    });

    it('end when the same stamp is announced without one', async () => {
      await known('k', 'old');
      await here.setStamp('2', { grace: '1m' });
      await until(async () => (await there.get('k')).isStale, 1000);
      await here.setStamp('2');
      for (const cache of [here, there]) await forgotten(cache, 'k');
    });

    it('have a failed refresh tried again after the back-off, by one process, and not a moment longer than it lasts', async () => {
      await known('k', 'old');
      await here.setStamp('2', { grace: GRACE_MS });
      const ended = performance.now() + GRACE_MS + CLOCK_MS;
      let tries = 0;
      const failing = (): never => {
        tries++;
        throw new Error('down');
      };
      const options: LoadOptions<string> = { ttl: '1h', backOff: '1m' };
      await until(() => there.peek('k') === undefined, GRACE_MS);
      for (const cache of [here, there, here, there])
        expect(await cache.getOrSet<string>('k', failing, options)).toBe('old');
      expect(tries).toBe(1);
      await until(() => performance.now() > ended, 2 * GRACE_MS);
      for (const cache of [here, there]) {
        await expect(cache.getOrSet<string>('k', failing, options)).rejects.toThrow('down');
        expect((await cache.get('k')).isFound).toBe(false);
      }
    });

    it('have no failed load end in what was served when it began, if they are over by then', async () => {
      await known('k', 'old');
      await here.setStamp('2', { grace: GRACE_MS });
      const ended = performance.now() + GRACE_MS + CLOCK_MS;
      await until(async () => (await there.get('k')).isStale, GRACE_MS);
      const gate = new Gate<string>();
      const loading = there.getOrSet('k', gate.load);
      loading.catch(() => undefined);
      await gate.begun;
      await until(() => performance.now() > ended, 2 * GRACE_MS);
      gate.fail(new Error('down'));
      await expect(loading).rejects.toThrow('down');
    });

    it('let no loader confirm what is from under the stamp of before', async () => {
      await known('k', 'old');
      await here.setStamp('2', { grace: '1m' });
      await until(async () => (await there.get('k')).isStale, 1000);
      const seen: unknown[] = [];
      const value = await there.getOrSet<string>('k', ({ stale }) => (seen.push(stale), 'new'));
      expect([value, seen]).toEqual(['new', [undefined]]);
    });

    it('have a load that began before end under the stamp of before', async () => {
      const gate = new Gate<string>();
      const loading = here.getOrSet('k', gate.load, { ttl: '1h' });
      await gate.begun;
      await there.setStamp('2', { grace: '1m' });
      gate.open('old');
      expect(await loading).toBe('old');
      await until(async () => !(await here.get('k')).isFound || (await here.get('k')).isStale, 1000);
      expect(await there.getOrSet('k', () => 'new')).toBe('new');
    });

    it('are not outlived by a request that has read under them', async () => {
      const scope = new RequestScope();
      const { cache } = await fleet.join({ requestScope: () => scope });
      await known('k', 'old');
      await here.setStamp('2', { grace: GRACE_MS });
      const ended = performance.now() + GRACE_MS + CLOCK_MS;
      await until(async () => (await cache.get('k')).isStale, GRACE_MS);
      await until(() => performance.now() > ended, 2 * GRACE_MS);
      expect((await cache.get('k')).isFound).toBe(false);
    });
  });
});

describe('stamps that the store does not take in at once', () => {
  /** A process whose first stamps meet with what `answer` makes of them, and one that has nothing to do with it. */
  function pair(answer: (stamp: () => Promise<string>, call: number) => Promise<string>): CacheEngine[] {
    const { database } = new MemoryStore();
    const troubled = new MemoryStore({ database });
    const stamp = troubled.stamp.bind(troubled);
    let calls = 0;
    troubled.stamp = (name, text, graceMs) => answer(() => stamp(name, text, graceMs), ++calls);
    return [troubled, new MemoryStore({ database })].map((store) => {
      const engine = new CacheEngine({ store, deadlineMs: 100 });
      onTestFinished(() => engine.close());
      engine.open();
      return engine;
    });
  }

  const down = new StoreUnavailableError('memory', 'stamp', 'connection');

  async function lastOneHolds([engine, other]: CacheEngine[], there: CacheService): Promise<void> {
    await until(() => engine?.inspect().pending.tokens === 0, 2000);
    await there.set('k', 'value');
    await other?.namespace('default').setStamp('2');
    expect((await there.get('k')).isFound).toBe(true);
  }

  it('the one holds that was asked for later, though it was taken in earlier', async () => {
    const engines = pair((stamp, call) => (call === 1 ? new Promise(() => undefined) : stamp()));
    const [here, there] = engines.map((engine) => engine.namespace('default')) as [CacheService, CacheService];
    await Promise.all([here.setStamp('1'), here.setStamp('2')]);
    await lastOneHolds(engines, there);
  });

  it('the one holds that was asked for later, though the other still waits when it is sent', async () => {
    const engines = pair(async (stamp, call) => (call <= 2 ? Promise.reject(down) : stamp()));
    const [here, there] = engines.map((engine) => engine.namespace('default')) as [CacheService, CacheService];
    await here.setStamp('1');
    await here.setStamp('2');
    await lastOneHolds(engines, there);
  });
});
