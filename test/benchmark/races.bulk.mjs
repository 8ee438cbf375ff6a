import { Redis } from 'ioredis';
import { Loader, RedisCache } from 'layered-loader';
import { openEngine } from './engine.mjs';
import { recordOf } from './values.mjs';

const IN_MEMORY = 50;
const KEYS = Array.from({ length: 100 }, (_, i) => `item:${i}`);
const REPEATS = 20;
const VALUE = recordOf(100);

/**
 * Reads of 100 keys, of which the first 50 stay in memory. The others are dropped from memory before each read (all contestants would
 * otherwise remember them), by what costs the least for the contestant.
 */
function batches(read) {
  return {
    async round() {
      for (let i = 0; i < REPEATS; i++) {
        const values = await read(KEYS);
        if (values.length !== KEYS.length || !values.every(Boolean)) throw new Error('a hit was missed');
      }
      return REPEATS;
    },
  };
}

export const bulkContestants = {
  async getMany(port) {
    const engine = await openEngine({ port });
    const cache = engine.namespace('default');
    await cache.setMany(
      KEYS.map((key) => [key, VALUE]),
      { ttl: '1h' },
    );
    await cache.getMany(KEYS);
    const { index } = cache.space;
    return batches(async (keys) => {
      for (let i = IN_MEMORY; i < keys.length; i++) engine.memory.remove(index, keys[i]);
      return (await cache.getMany(keys)).map((response) => response.value);
    });
  },
  async 'Map + one MGET'(port) {
    const client = new Redis({ port });
    for (const key of KEYS) await client.set(`bulk:${key}`, JSON.stringify(VALUE));
    const entryOf = () => ({ value: VALUE, expiresAt: Date.now() + 3_600_000 });
    const map = new Map(KEYS.map((key) => [key, entryOf()]));
    return batches(async (keys) => {
      for (let i = IN_MEMORY; i < keys.length; i++) map.delete(keys[i]);
      const now = Date.now();
      const missing = [];
      const values = keys.map((key, i) => {
        const entry = map.get(key);
        if (entry !== undefined && entry.expiresAt > now) return entry.value;
        missing.push(i);
        return undefined;
      });
      const texts = await client.mget(missing.map((i) => `bulk:${keys[i]}`));
      texts.forEach((text, n) => {
        const value = JSON.parse(text);
        values[missing[n]] = value;
        map.set(keys[missing[n]], { value, expiresAt: now + 3_600_000 });
      });
      return values;
    });
  },
  async 'layered-loader'(port) {
    const loader = new Loader({
      inMemoryCache: { cacheType: 'lru-object', ttlInMsecs: 3_600_000, maxItems: 10_000 },
      asyncCache: new RedisCache(new Redis({ port }), { prefix: 'layeredbulk', ttlInMsecs: 3_600_000, json: true }),
      cacheKeyFromValueResolver: (value) => value.key,
      dataSources: [{ name: 'source', get: async (key) => ({ ...VALUE, key }) }],
    });
    for (const key of KEYS) await loader.get(key);
    return batches((keys) => {
      for (let i = IN_MEMORY; i < keys.length; i++) loader.inMemoryCache.delete(keys[i]);
      return loader.getMany(keys);
    });
  },
};
