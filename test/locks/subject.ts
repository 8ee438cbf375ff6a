import { onTestFinished } from 'vitest';
import { CacheLockService } from '../../src/locks/cache-lock.service.js';
import { LockEngine, type LockEngineOptions } from '../../src/locks/lock-engine.js';
import type { LockOptions } from '../../src/locks/lock.options.js';
import { MemoryLockDatabase } from '../../src/stores/memory/memory.lock-database.js';
import { MemoryLockStore } from '../../src/stores/memory/memory.lock-store.js';
import { memcachedLocks } from '../../src/stores/memcached/index.js';
import { redisLocks, type RedisLockStoreOptions } from '../../src/stores/redis/index.js';

/** The locks of one process, as an application has them; closed when the test is over. */
export function openLocks(
  options: LockEngineOptions,
  defaults: LockOptions = {},
): { engine: LockEngine; locks: CacheLockService } {
  const engine = new LockEngine(options);
  onTestFinished(() => engine.close());
  return { engine, locks: new CacheLockService(engine, defaults) };
}

export function redisProcess(url: string, store: RedisLockStoreOptions = {}, options: Partial<LockEngineOptions> = {}) {
  return openLocks({ store: redisLocks({ url, ...store }), ...options });
}

export function memcachedProcess(url: string, options: Partial<LockEngineOptions> = {}) {
  return openLocks({ store: memcachedLocks({ url }), acceptLossy: true, ...options });
}

/** Two processes on one database. */
export function memoryPair(options: Omit<Partial<LockEngineOptions>, 'store'> = {}) {
  const database = new MemoryLockDatabase({ clock: options.clock });
  const open = () => openLocks({ store: new MemoryLockStore({ database }), ...options });
  return { database, one: open(), two: open() };
}

/** A promise and its ends. */
export function gate<T = void>(): { opened: Promise<T>; open: (value: T) => void } {
  let open: (value: T) => void = () => undefined;
  const opened = new Promise<T>((resolve) => (open = resolve));
  return { opened, open };
}

/** Resolves when `signal` is aborted, with how long that took. */
export function aborted(signal: AbortSignal): Promise<number> {
  const started = performance.now();
  return new Promise((resolve) => {
    const done = (): void => resolve(performance.now() - started);
    if (signal.aborted) done();
    else signal.addEventListener('abort', done, { once: true });
  });
}

/** What a promise is rejected with. */
export async function failure(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it should have failed');
}
