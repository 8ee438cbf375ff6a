import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import { MemoryDatabase, MemoryStore } from '../../src/stores/memory/memory.store.js';
import { Cached, CacheService, TieredCacheModule, cachedMethod, loadContext } from '../../src/index.js';
import { TIERED_CACHE_ENGINE } from '../../src/tiered-cache.constants.js';
import { boot, closeAll } from '../nest/boot.js';
import { SteppedClock } from '../races/stepped.clock.js';

afterEach(closeAll);

@Injectable()
class Feed {
  runs = 0;
  seen: unknown[] = [];

  @Cached({ ttl: '1h', freshFor: '1m', softTimeout: 'forever' })
  async entries(_url: string): Promise<{ version: number }> {
    const load = loadContext<{ version: number }>();
    this.seen.push(load.stale && { ...load.stale });
    this.runs++;
    await Promise.resolve();
    return load.stale ? load.notModified() : { version: this.runs };
  }

  @Cached()
  async chosen(how: 'skip' | 'zero' | 'tag' | 'plain'): Promise<number> {
    const { skip, setTtl, setTags } = loadContext();
    await Promise.resolve();
    if (how === 'skip') skip();
    if (how === 'zero') setTtl(0);
    if (how === 'tag') setTags(['late']);
    return ++this.runs;
  }

  @Cached({
    shouldCache: (value: { id: number } | null) => value !== null,
    tags: (value: { id: number } | null) => [`book:${value!.id}`],
  })
  async vetoed(isNull: boolean): Promise<{ id: number } | null> {
    this.runs++;
    return isNull ? null : { id: this.runs };
  }

  @Cached()
  async tooLate(): Promise<void> {
    await Promise.resolve();
    loadContext();
  }

  @Cached()
  async outer(): Promise<boolean> {
    const own = loadContext();
    const inner = this.inner();
    return own === loadContext() && own !== (await inner).load;
  }

  @Cached({ ttl: 0 })
  async inner(): Promise<{ load: unknown }> {
    return { load: loadContext().key };
  }

  @Cached({ ttl: '1h', freshFor: '1m', eagerRefresh: 0.5 })
  async early(): Promise<number> {
    return ++this.runs;
  }

  @Cached({ hardTimeout: '20ms' })
  async patient(): Promise<string> {
    const { signal } = loadContext();
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  }
}

async function stepped(): Promise<{ clock: SteppedClock; feed: Feed }> {
  const clock = new SteppedClock();
  const engine = new CacheEngine({ clock, store: new MemoryStore({ database: new MemoryDatabase({ clock }) }) });
  const testing = await Test.createTestingModule({ imports: [TieredCacheModule.forRoot()], providers: [Feed] })
    .overrideProvider(TIERED_CACHE_ENGINE)
    .useValue(engine)
    .compile();
  await testing.init();
  onTestFinished(() => engine.close());
  return { clock, feed: testing.get(Feed) };
}

describe('the options of a method', () => {
  it('refresh early, in the background', async () => {
    const { clock, feed } = await stepped();
    expect([await feed.early(), await feed.early()]).toEqual([1, 1]);
    clock.advance(31_000);
    expect(await feed.early()).toBe(1);
    await expect.poll(() => feed.early()).toBe(2);
    expect(feed.runs).toBe(2);
  });
});

describe('loadContext()', () => {
  it('tells of the stale value, and gives it a new life by notModified()', async () => {
    const { clock, feed } = await stepped();
    expect(await feed.entries('a')).toEqual({ version: 1 });
    clock.advance(90_000);
    expect(await feed.entries('a')).toEqual({ version: 1 });
    expect(feed.seen).toEqual([undefined, { value: { version: 1 }, ageMs: 90_000 }]);
    clock.advance(59_000);
    await feed.entries('a');
    expect(feed.runs).toBe(2);
    clock.advance(2000);
    await feed.entries('a');
    expect(feed.runs).toBe(3);
    clock.advance(3_600_001);
    expect(await feed.entries('a')).toEqual({ version: 4 });
  });

  it('asks no vetoed value for its tags', async () => {
    const feed = (await boot([TieredCacheModule.forRoot()], [Feed])).get(Feed);
    expect([await feed.vetoed(true), await feed.vetoed(true)]).toEqual([null, null]);
    expect(feed.runs).toBe(2);
    expect([await feed.vetoed(false), await feed.vetoed(false)]).toEqual([{ id: 3 }, { id: 3 }]);
  });

  it('lets the method decide what is kept', async () => {
    const app = await boot([TieredCacheModule.forRoot()], [Feed]);
    const feed = app.get(Feed);
    expect([await feed.chosen('plain'), await feed.chosen('plain')]).toEqual([1, 1]);
    expect([await feed.chosen('skip'), await feed.chosen('skip')]).toEqual([2, 3]);
    expect([await feed.chosen('zero'), await feed.chosen('zero')]).toEqual([4, 5]);
    expect([await feed.chosen('tag'), await feed.chosen('tag')]).toEqual([6, 6]);
    await app.get(CacheService).invalidateTags(['late']);
    expect(await feed.chosen('tag')).toBe(7);
    expect(cachedMethod(feed, 'chosen').cacheKeyOf('tag')).toEqual(['Feed.chosen', 'tag']);
  });

  it('gives the signal that ends the load', async () => {
    const feed = (await boot([TieredCacheModule.forRoot()], [Feed])).get(Feed);
    await expect(feed.patient()).rejects.toMatchObject({ code: 'load_timeout' });
  });

  it.each([[true], [false]])('works up to the first await only (enabled: %o)', async (enabled) => {
    const feed = (await boot([TieredCacheModule.forRoot({ enabled })], [Feed])).get(Feed);
    await expect(feed.tooLate()).rejects.toMatchObject({ code: 'no_load' });
    expect(() => loadContext()).toThrow(expect.objectContaining({ code: 'no_load' }));
  });

  it('is that of the method itself, also when cached methods call each other', async () => {
    for (const enabled of [true, false]) {
      const feed = (await boot([TieredCacheModule.forRoot({ enabled })], [Feed])).get(Feed);
      expect(await feed.outer()).toBe(true);
      expect(await feed.inner()).toEqual({ load: ['Feed.inner'] });
    }
  });

  it('is there, and does nothing, on an object made with new', async () => {
    const feed = new Feed();
    expect([await feed.chosen('skip'), await feed.chosen('zero'), await feed.chosen('tag')]).toEqual([1, 2, 3]);
    expect(await feed.entries('a')).toEqual({ version: 4 });
    await expect(feed.tooLate()).rejects.toMatchObject({ code: 'no_load' });
    expect(await feed.outer()).toBe(true);
  });
});
