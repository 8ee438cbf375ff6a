import { describe, expect, it } from 'vitest';
import type { CacheService } from '../../src/core/cache.service.js';
import { systemClock, type Clock } from '../../src/core/clock/clock.js';
import type { Epoch } from '../../src/core/tokens/epoch.js';
import { TokenRegistry } from '../../src/core/tokens/token-registry.js';
import { MemoryStore } from '../../src/stores/memory/memory.store.js';
import { engineOn } from './broken.store.js';

/** So many tags a process remembers. */
const MOST = 50_000;
const budget = { remainingMs: 1000 };

/** Time passes when a test says so. */
class SkippingClock implements Clock {
  private moment = 1000;
  readonly after = systemClock.after;

  now(): number {
    return this.moment;
  }

  advance(ms: number): void {
    this.moment += ms;
  }
}

function registry(): TokenRegistry {
  return new TokenRegistry(
    async (names) => names.map((name) => `1.${name}`),
    () => true,
    () => 0,
  );
}

async function meet(tokens: TokenRegistry, from: number, to: number): Promise<void> {
  const names = Array.from({ length: to - from }, (_, i) => `tag:${from + i}`);
  for (let at = 0; at < names.length; at += 1000) await tokens.read(names.slice(at, at + 1000), budget);
}

it.each(['ns:books', 'pre:books:k', 'tag:0'])(
  'what is loaded under %s just when there are too many tags is void when that is replaced',
  async (name) => {
    const tokens = registry();
    await tokens.read([name], budget);
    await meet(tokens, 1, MOST - 1);
    const epochs: Epoch[] = [];
    for (let i = MOST; i < MOST + 4; i++) epochs.push((await tokens.read([name, `tag:${i}`], budget))[0] as Epoch);
    tokens.doubt([name]);
    expect(epochs.map(({ alive }) => alive)).toEqual([false, false, false, false]);
  },
);

describe('tokens that are known and in use', () => {
  const WARM_MS = 10_000;

  it('are not asked for any more once they are forgotten, by a process that only writes', async () => {
    let now = 0;
    const asked: string[] = [];
    const fetch = async (names: readonly string[]): Promise<string[]> => {
      asked.push(...names);
      return names.map((name) => `1.${name}`);
    };
    const tokens = new TokenRegistry(
      fetch,
      () => true,
      () => now,
    );
    await tokens.read(['tag:0', 'tag:1'], budget);
    now = WARM_MS;
    tokens.known(['tag:0', 'tag:1']);
    await meet(tokens, 2, MOST + 1);
    asked.length = 0;
    tokens.warm(() => budget);
    expect(asked).toEqual(['tag:1']);
  });

  /** Reads entries past the memory tier. */
  async function reading(): Promise<{ cache: CacheService; clock: SkippingClock; asked: string[] }> {
    const clock = new SkippingClock();
    const store = new MemoryStore({ clock });
    const asked: string[] = [];
    const { tokens } = store;
    store.tokens = (names) => (asked.push(...names), tokens.call(store, names));
    const cache = engineOn(store, { clock, memory: false }).namespace('default');
    await cache.set('k', 'v', { ttl: '1h', tags: ['used'] });
    await cache.set('other', 'v', { ttl: '1h', tags: ['unused'] });
    asked.length = 0;
    return { cache, clock, asked };
  }

  it('are asked for every ten seconds along with what is read, so that an evicting server keeps them', async () => {
    const { cache, clock, asked } = await reading();
    clock.advance(WARM_MS - 1);
    await cache.get('k');
    expect(asked).toEqual([]);
    clock.advance(1);
    // What the first has met, the second takes along.
    for (let i = 0; i < 3; i++) expect((await cache.get('k')).isFound).toBe(true);
    expect(asked.sort()).toEqual(['ns:default', 'stamp', 'stamp:default', 'tag:used']);
    clock.advance(WARM_MS);
    asked.length = 0;
    await Promise.all(Array.from({ length: 10 }, () => cache.get('k')));
    expect(asked).toEqual(['ns:default', 'stamp:default', 'stamp']);
  });

  it('are believed as the store has them then, reported or not', async () => {
    const { cache, clock } = await reading();
    const store = new MemoryStore({ clock });
    const silent = engineOn(
      Object.assign(store, { tokens: async (names: string[]) => names.map(() => String(clock.now())) }),
      {
        clock,
        memory: false,
      },
    ).namespace('default');
    await silent.set('k', 'v', { ttl: '1h' });
    expect((await silent.get('k')).isFound).toBe(true);
    clock.advance(WARM_MS);
    await silent.get('k');
    expect((await silent.get('k')).isFound).toBe(false);
    expect((await cache.get('k')).isFound).toBe(true);
  });
});
