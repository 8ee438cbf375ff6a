import { BentoCache, bentostore } from 'bentocache';
import { redisDriver } from 'bentocache/drivers/redis';
import { Redis } from 'ioredis';
import { Loader, RedisCache } from 'layered-loader';
import { openEngine } from './engine.mjs';
import { KEY_COUNT, recordOf } from './values.mjs';

const CALLERS = 50;
const REPEATS = 10;

/** Fifty callers at once, each of its own key, again and again: nothing is shared and nothing is in memory. */
function crowd(read) {
  let at = 0;
  return {
    async round() {
      for (let i = 0; i < REPEATS; i++) {
        const reads = [];
        for (let caller = 0; caller < CALLERS; caller++) reads.push(read(`item:${(at = (at + 1) % KEY_COUNT)}`));
        for (const value of await Promise.all(reads)) if (!value) throw new Error('a hit was missed');
      }
      return REPEATS * CALLERS;
    },
  };
}

async function filled(port, prefix, size) {
  const client = new Redis({ port });
  const value = JSON.stringify(recordOf(size));
  for (let i = 0; i < KEY_COUNT; i++) await client.set(`${prefix}item:${i}`, value);
  return client;
}

const missing = () => {
  throw new Error('a hit was missed');
};

/**
 * The remote tier alone, as values of `size` bytes: parsed and frozen, parsed for each caller by itself (`isolation` is `copy`), which is what a
 * GET and JSON.parse gives, or (`codec` is `bytes`) as they are.
 */
export function remoteContestants(size, { codec = 'json', isolation } = {}) {
  const ours = async (port) => {
    const namespaces = [{ name: `${codec}${size}`, codec, ttl: '1h', isolation }];
    const cache = (await openEngine({ port, memory: false, namespaces })).namespace(`${codec}${size}`);
    const value = codec === 'bytes' ? Buffer.from(JSON.stringify(recordOf(size))) : recordOf(size);
    for (let i = 0; i < KEY_COUNT; i++) await cache.set(`item:${i}`, value);
    return crowd((key) => cache.getOrSet(key, missing));
  };
  const raw = {
    async 'ioredis GET + JSON.parse'(port) {
      const client = await filled(port, `raw${size}:`, size);
      return crowd(async (key) => JSON.parse(await client.get(`raw${size}:${key}`)));
    },
  };
  if (isolation === 'copy') return { 'getOrSet, own objects': ours, ...raw };
  if (codec === 'bytes') {
    const getBuffer = async (port) => {
      const client = await filled(port, `raw${size}:`, size);
      return crowd((key) => client.getBuffer(`raw${size}:${key}`));
    };
    return { 'getOrSet as bytes': ours, ...raw, 'ioredis GETBUFFER': getBuffer };
  }
  return {
    getOrSet: ours,
    ...raw,
    'layered-loader'(port) {
      const options = { prefix: `layered${size}`, ttlInMsecs: 3_600_000, json: true };
      const asyncCache = new RedisCache(new Redis({ port }), options);
      const loader = new Loader({ asyncCache, dataSources: [{ name: 'source', get: async () => recordOf(size) }] });
      return warmed((key) => loader.get(key));
    },
    bentocache(port) {
      const l2 = redisDriver({ connection: new Redis({ port }) });
      const bento = new BentoCache({
        default: 'remote',
        prefix: `bento${size}`,
        stores: { remote: bentostore().useL2Layer(l2) },
      });
      return warmed((key) => bento.getOrSet({ key, ttl: '1h', factory: () => recordOf(size) }));
    },
  };
}

async function warmed(read) {
  for (let i = 0; i < KEY_COUNT; i++) await read(`item:${i}`);
  return crowd(read);
}
