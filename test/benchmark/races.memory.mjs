import { cachified } from '@epic-web/cachified';
import { createCache as createDedupe } from 'async-cache-dedupe';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { Cacheable } from 'cacheable';
import { createCache } from 'cache-manager';
import { Loader } from 'layered-loader';
import { LRUCache } from 'lru-cache';
import { openEngine } from './engine.mjs';

const KEYS = Array.from({ length: 1024 }, (_, i) => `product:${i}:detail`);
const TTL_MS = 3_600_000;
const PORTION = 10_000;
const valueOf = (key) => ({ key, name: 'A thing', price: 12.5, tags: ['a', 'b'] });
const load = async ({ key }) => valueOf(key);

let at = 0;
const nextKey = () => KEYS[(at = (at + 389) & 1023)];

/** A synchronous read, by the thousand: a clock reading for each would be most of the time. */
const sync = (read) => ({
  round(operations = PORTION) {
    let found = 0;
    for (let i = 0; i < operations; i++) if (read(nextKey()) !== undefined) found++;
    if (found !== operations) throw new Error('a hit was missed');
    return operations;
  },
});

/** An asynchronous read, one after the other. */
async function calls(read) {
  for (const key of KEYS) await read(key);
  return {
    async round(operations = PORTION) {
      let found = 0;
      for (let i = 0; i < operations; i++) if ((await read(nextKey())) !== undefined) found++;
      if (found !== operations) throw new Error('a hit was missed');
      return operations;
    },
  };
}

function filledMap() {
  return new Map(KEYS.map((key) => [key, { value: valueOf(key), expiresAt: Date.now() + TTL_MS }]));
}

async function ours({ tags = [], isolation } = {}) {
  const cache = (await openEngine({ namespaces: [{ name: 'raced', isolation }] })).namespace('raced');
  for (const key of KEYS) await cache.set(key, valueOf(key), { ttl: TTL_MS, tags });
  return cache;
}

export const peekContestants = {
  async peek() {
    const cache = await ours();
    return sync((key) => cache.peek(key));
  },
  'Map + TTL'() {
    const map = filledMap();
    return sync((key) => {
      const entry = map.get(key);
      return entry !== undefined && entry.expiresAt > Date.now() ? entry.value : undefined;
    });
  },
  'lru-cache with ttl'() {
    const cache = new LRUCache({ max: 100_000, ttl: TTL_MS });
    for (const key of KEYS) cache.set(key, valueOf(key));
    return sync((key) => cache.get(key));
  },
  async 'layered-loader getInMemoryOnly'() {
    const loader = layered();
    for (const key of KEYS) await loader.get(key);
    return sync((key) => loader.getInMemoryOnly(key));
  },
};

export const callContestants = {
  async getOrSet() {
    const cache = await ours();
    return calls((key) => cache.getOrSet(key, load));
  },
  'async function over a Map'() {
    const map = filledMap();
    return calls(async (key) => {
      const entry = map.get(key);
      return entry !== undefined && entry.expiresAt > Date.now() ? entry.value : undefined;
    });
  },
  'layered-loader'() {
    const loader = layered();
    return calls((key) => loader.get(key));
  },
  'async-cache-dedupe'() {
    const cache = createDedupe({ ttl: TTL_MS / 1000, storage: { type: 'memory', options: { size: 100_000 } } }).define(
      'product',
      async (key) => valueOf(key),
    );
    return calls((key) => cache.product(key));
  },
  'cache-manager'() {
    const cache = createCache({ ttl: TTL_MS });
    return calls((key) => cache.wrap(key, () => valueOf(key)));
  },
  cacheable() {
    const cache = new Cacheable({ ttl: TTL_MS });
    return calls((key) => cache.getOrSet(key, async () => valueOf(key)));
  },
  cachified() {
    const cache = new LRUCache({ max: 100_000 });
    return calls((key) => cachified({ key, cache, ttl: TTL_MS, getFreshValue: () => valueOf(key) }));
  },
  bentocache() {
    const layer = bentostore().useL1Layer(memoryDriver({ maxItems: 100_000, serialize: false }));
    const bento = new BentoCache({ default: 'memory', stores: { memory: layer } });
    return calls((key) => bento.getOrSet({ key, ttl: TTL_MS, factory: () => valueOf(key) }));
  },
};

/** What a tag costs on a hit. */
export const taggedContestants = {
  async 'with a tag'() {
    const cache = await ours({ tags: ['product'] });
    return calls((key) => cache.getOrSet(key, load));
  },
  async without() {
    const cache = await ours();
    return calls((key) => cache.getOrSet(key, load));
  },
};

/** An object for each reader. */
export const copyContestants = {
  async getOrSet() {
    const cache = await ours({ isolation: 'copy' });
    return calls((key) => cache.getOrSet(key, load));
  },
  async get() {
    const cache = await ours({ isolation: 'copy' });
    return calls(async (key) => (await cache.get(key)).value);
  },
  'async function over a Map of JSON'() {
    const map = new Map(
      KEYS.map((key) => [key, { text: JSON.stringify(valueOf(key)), expiresAt: Date.now() + TTL_MS }]),
    );
    return calls(async (key) => {
      const entry = map.get(key);
      return entry !== undefined && entry.expiresAt > Date.now() ? JSON.parse(entry.text) : undefined;
    });
  },
  'cache-manager'() {
    const cache = createCache({ ttl: TTL_MS });
    return calls((key) => cache.wrap(key, () => valueOf(key)));
  },
  bentocache() {
    const layer = bentostore().useL1Layer(memoryDriver({ maxItems: 100_000 }));
    const bento = new BentoCache({ default: 'memory', stores: { memory: layer } });
    return calls((key) => bento.getOrSet({ key, ttl: TTL_MS, factory: () => valueOf(key) }));
  },
};

function layered() {
  return new Loader({
    inMemoryCache: { cacheType: 'lru-object', ttlInMsecs: TTL_MS, maxItems: 100_000 },
    dataSources: [{ name: 'source', get: async (key) => valueOf(key), getMany: async (keys) => keys.map(valueOf) }],
  });
}
