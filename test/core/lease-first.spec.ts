import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import type { CacheService } from '../../src/core/cache.service.js';
import type { Clock } from '../../src/core/clock/clock.js';
import { ColdCacheError, StoreUnavailableError } from '../../src/core/errors/cache.error.js';
import { tagToken } from '../../src/core/namespace.js';
import type { Acquired, LeaseRequest } from '../../src/stores/contract/cache-store.js';
import { MemoryDatabase, MemoryStore } from '../../src/stores/memory/memory.store.js';
import { SteppedClock } from '../races/stepped.clock.js';
import { engineOn } from './broken.store.js';

const THROW = { onCold: 'throw' } as const;

class UpstreamError extends Error {}
const fail = (): never => {
  throw new UpstreamError();
};

/** Refuses leases as `refuses` says. */
class StoreWithFewLeases extends MemoryStore {
  refuses: (request: LeaseRequest) => Error | undefined = () => undefined;
  released = 0;

  override async acquire(key: string, request: LeaseRequest): Promise<Acquired> {
    const refusal = this.refuses(request);
    if (refusal) throw refusal;
    return super.acquire(key, request);
  }

  override release(key: string, token: string): Promise<void> {
    this.released++;
    return super.release(key, token);
  }
}

/** `there` writes what `here` has not read yet. */
function fleet(): { clock: SteppedClock; store: StoreWithFewLeases; here: CacheService; there: CacheService } {
  const clock = new SteppedClock();
  const database = new MemoryDatabase({ clock });
  const store = new StoreWithFewLeases({ database });
  const [here, there] = [store, new MemoryStore({ database })].map((one) =>
    engineOn(one, { clock }).namespace('default'),
  ) as [CacheService, CacheService];
  return { clock, store, here, there };
}

const refusal = (): Error => new StoreUnavailableError('memory', 'acquire', 'refused');

describe('who asks for the lease without a look before', () => {
  it('is given what is there where the store grants none: fresh at once, stale when the loader fails', async () => {
    const { clock, store, here, there } = fleet();
    await there.set('k', 'good', { ttl: '1h', freshFor: '1s' });
    await there.set('other', 'good', { ttl: '1h', freshFor: '1s' });
    store.refuses = refusal;
    expect(await here.getOrSet('k', fail, THROW)).toBe('good');
    clock.advance(2000);
    expect(await here.getOrSet('other', fail, THROW)).toBe('good');
    await expect(here.getOrSet('missing', fail, THROW)).rejects.toThrow(UpstreamError);
    await expect(here.getOrSet('k', fail, { ...THROW, forceFresh: true, staleIfError: false })).rejects.toThrow(
      UpstreamError,
    );
    // There is none to be given up.
    expect(store.released).toBe(0);
  });

  it('is given what it was told of where the store does not answer a second time', async () => {
    const { clock, store, here, there } = fleet();
    await there.set('k', 'good', { ttl: '10s' });
    clock.advance(6000);
    store.refuses = ({ seen }) => (seen ? new Error('gone') : undefined);
    expect(await here.getOrSet('k', fail, { ...THROW, eagerRefresh: 0.5 })).toBe('good');
  });

  it('reads no second time where it is the reading that was refused', async () => {
    const { store, here } = fleet();
    await here.getOrSet('warm', () => 1);
    const read = vi.spyOn(store, 'read').mockImplementation(async () => {
      throw new StoreUnavailableError('memory', 'read', 'refused');
    });
    await Promise.all(Array.from({ length: 20 }, (_, i) => here.getOrSet(`k${i}`, () => 1)));
    expect(read).toHaveBeenCalledTimes(1);
  });

  it('is refused while somebody else loads, though what is there cannot be judged', async () => {
    const { store, here, there } = fleet();
    await there.set('k', 'old', { tags: ['t'] });
    await there.expire('k');
    let end = (): void => undefined;
    const loading = there.getOrSet('k', () => new Promise<string>((resolve) => (end = () => resolve('new'))), {
      forceFresh: true,
    });
    await turn();
    await here.getOrSet('warm', () => 1);
    const { tokens } = store;
    vi.spyOn(store, 'tokens').mockImplementation(async (names) => {
      if (names.includes(tagToken('t'))) throw refusal();
      return tokens.call(store, names);
    });
    await expect(here.getOrSet('k', fail, THROW)).rejects.toBeInstanceOf(ColdCacheError);
    end();
    expect(await loading).toBe('new');
  });

  it('keeps the tokens that it uses from being evicted, as who reads does', async () => {
    const { clock, store, here } = fleet();
    const load = (): Promise<number> => here.getOrSet(`k${Math.random()}`, () => 1, THROW);
    await load();
    const asked = vi.spyOn(store, 'tokens');
    for (let i = 0; i < 10; i++) {
      clock.advance(5000);
      await load();
      await turn();
    }
    expect(asked.mock.calls.length).toBeGreaterThanOrEqual(4);
  });
});

describe('a store whose clock is ahead of what it told', () => {
  const SKEW_MS = 6000;

  /** Processes that have no more of it than the store has. */
  function processes(): { clock: SteppedClock; start: () => CacheService } {
    const clock = new SteppedClock();
    const ahead: Clock = { now: () => clock.now() + SKEW_MS, after: (ms, run) => clock.after(ms, run) };
    const database = new MemoryDatabase({ clock: ahead });
    const start = (): CacheService => {
      const store = new MemoryStore({ database });
      store.now = () => Promise.resolve(clock.now());
      return engineOn(store, { clock }).namespace('default');
    };
    return { clock, start };
  }

  it.each(['throw', 'wait'] as const)(
    'grants leases for what is fresh to this process, which does not load it again (%s)',
    async (onCold) => {
      const { start } = processes();
      let loads = 0;
      for (let i = 0; i < 6; i++) {
        const options = { onCold, ttl: '1h', freshFor: '3s', lease: '1h' } as const;
        expect(await start().getOrSet('k', () => ++loads, options)).toBe(1);
        await turn();
      }
      expect(loads).toBe(1);
    },
  );

  it('has no more attempts made while a back-off lasts', async () => {
    const { clock, start } = processes();
    await start().getOrSet('k', () => 'good', { ttl: '1h', freshFor: '1s' });
    clock.advance(2000);
    const attempts = vi.fn(fail);
    for (let i = 0; i < 6; i++) {
      expect(await start().getOrSet('k', attempts, { ...THROW, backOff: '5s' })).toBe('good');
      await turn();
    }
    expect(attempts).toHaveBeenCalledTimes(1);
  });
});

it('a lease that is given up elsewhere is no reason to forget anything here', async () => {
  const { here, there, store } = fleet();
  await here.set('k', 'v');
  await expect(there.getOrSet('k', fail, { forceFresh: true, staleIfError: false })).rejects.toThrow(UpstreamError);
  await turn();
  const read = vi.spyOn(store, 'read');
  expect([here.peek('k'), (await here.get('k')).value]).toEqual(['v', 'v']);
  expect(read).not.toHaveBeenCalled();
});

it.each(['fill', 'acquire'] as const)(
  'what could not be stored, for the %s was not answered, is forgotten when the key is deleted elsewhere',
  async (operation) => {
    const { store, here, there } = fleet();
    await here.getOrSet('warm', () => 1);
    vi.spyOn(store, operation).mockRejectedValueOnce(new Error('no answer'));
    expect(await here.getOrSet('k', () => 'old', THROW)).toBe('old');
    expect(here.peek('k')).toBe('old');
    await turn();
    await there.delete('k');
    expect(here.peek('k')).toBeUndefined();
  },
);
