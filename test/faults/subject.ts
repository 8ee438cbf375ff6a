import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { CacheEngine } from '../../src/core/cache-engine.js';
import type { EngineOptions } from '../../src/core/engine.options.js';
import type { CacheService } from '../../src/core/cache.service.js';
import { redis, type RedisStoreOptions } from '../../src/stores/redis/index.js';

/** A process that changes something, and one whose memory tier is looked at. */
export interface Fleet {
  here: CacheService;
  there: CacheService;
  listening: CacheEngine;
}

/** An open engine on a real server, as an application has it; closed when the test is over. */
export function openEngine(server: string | RedisStoreOptions, options: Partial<EngineOptions> = {}): CacheEngine {
  const store = redis(typeof server === 'string' ? { url: server } : server);
  const engine = new CacheEngine({ store, ...options });
  onTestFinished(() => engine.close());
  engine.open();
  return engine;
}

/** Resolves when the engine hears of every change: from then on its memory tier keeps values for their whole life. */
export async function heard(engine: CacheEngine): Promise<CacheEngine> {
  await until(() => engine.inspect().isHeard, 5000);
  return engine;
}

/**
 * Looks every few milliseconds until `holds` does; resolves to how long that took.
 * @throws Error after `limitMs`
 */
export async function until(holds: () => unknown, limitMs: number): Promise<number> {
  const started = performance.now();
  while (!(await holds())) {
    if (performance.now() - started > limitMs) throw new Error(`still not so after ${limitMs} ms`);
    await sleep(3);
  }
  return performance.now() - started;
}

/** What `process` reports as unhandled during the test. */
export function unhandledRejections(): unknown[] {
  const seen: unknown[] = [];
  const record = (reason: unknown): unknown => seen.push(reason);
  process.on('unhandledRejection', record);
  onTestFinished(() => void process.off('unhandledRejection', record));
  return seen;
}

let lastKey = 0;

/** A miss on a key of its own whose loader works at once: how many milliseconds the cache adds to it. */
export async function addedMs(cache: CacheService): Promise<number> {
  const value = ++lastKey;
  const started = performance.now();
  const got = await cache.getOrSet(`call-${value}`, () => value);
  const took = performance.now() - started;
  if (got !== value) throw new Error(`got ${String(got)} in place of ${value}`);
  return took;
}

export async function inParallel(count: number, cache: CacheService): Promise<number[]> {
  return Promise.all(Array.from({ length: count }, () => addedMs(cache)));
}

export async function inSequence(count: number, cache: CacheService): Promise<number[]> {
  const times: number[] = [];
  while (times.length < count) times.push(await addedMs(cache));
  return times;
}

/** Times of calls, one after the other, leaving out those during which the scheduler gave the processor to somebody else. */
export async function undisturbed(count: number, cache: CacheService): Promise<number[]> {
  const times: number[] = [];
  for (let calls = 0; times.length < count; calls++) {
    if (calls === 5 * count) throw new Error('the machine is too busy to measure anything');
    const before = process.resourceUsage().involuntaryContextSwitches;
    const took = await addedMs(cache);
    if (process.resourceUsage().involuntaryContextSwitches === before) times.push(took);
  }
  return times;
}

/** The `share`-quantile, 0 to 1. */
export function quantile(times: readonly number[], share: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
}
