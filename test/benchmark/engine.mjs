/** The engine as it is published, from `dist` (or the folder named by TC_DIST). */
const dist = process.env.TC_DIST ? `${process.env.TC_DIST}/` : new URL('../../dist/', import.meta.url).href;

export const { CacheEngine } = await import(`${dist}core/cache-engine.js`);
export const { S3FifoSlab } = await import(`${dist}core/tiers/s3-fifo.slab.js`);
export const { SlotIndex } = await import(`${dist}core/tiers/slot.index.js`);
export const { Cached, CachePage, CacheService, TieredCacheModule } = await import(`${dist}index.js`);
const { MemoryStore } = await import(`${dist}stores/memory/memory.store.js`);
const { redis } = await import(`${dist}stores/redis/index.js`);

const MEMORY = { maxEntries: 100_000, maxBytes: 2 ** 28, maxStaleWithoutBusMs: 5000 };

/** An engine on the embedded store, or on Redis; opened, and hearing of changes. */
export async function openEngine({ port, ...options } = {}) {
  const store = port === undefined ? new MemoryStore() : redis({ url: `redis://127.0.0.1:${port}` });
  const engine = new CacheEngine({ store, memory: MEMORY, ...options });
  engine.open();
  const deadline = Date.now() + 5000;
  while (!engine.inspect().isHeard) {
    if (Date.now() > deadline) throw new Error('the store did not begin to report changes');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return engine;
}

const { CacheLockService } = await import(`${dist}locks/cache-lock.service.js`);
const { LockEngine } = await import(`${dist}locks/lock-engine.js`);
const { redisLocks } = await import(`${dist}stores/redis/index.js`);

/** Locks on Redis, as a process of an application has them, and how they are closed. */
export function openLocks(port) {
  const engine = new LockEngine({ store: redisLocks({ url: `redis://127.0.0.1:${port}` }) });
  return { locks: new CacheLockService(engine), close: () => engine.close() };
}
