import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis';
import { Cacheable } from 'cacheable';
import { Redis } from 'ioredis';
import KeyvRedis from '@keyv/redis';
import { RedisMessageProvider } from '@qified/redis';
import { openEngine } from './engine.mjs';

const KEY = 'followed';
const CHANNEL = 'bare';

/** Each gives, in the process that writes, `update(version)`, and in the one that reads, `read()`: the newest version there. */
export const coherenceContestants = {
  async 'bare PUBLISH'(port) {
    let newest = 0;
    const subscriber = new Redis({ port });
    subscriber.on('message', (_, version) => (newest = Number(version)));
    await subscriber.subscribe(CHANNEL);
    const client = new Redis({ port });
    return { update: (version) => client.publish(CHANNEL, version), read: () => newest };
  },
  async 'nestjs-tiered-cache'(port) {
    const cache = (await openEngine({ port })).namespace('default');
    return {
      update: (version) => cache.set(KEY, version),
      read: async () => (await cache.get(KEY)).getValueOrDefault(0),
    };
  },
  bentocache(port) {
    const bento = new BentoCache({
      default: 'tiered',
      stores: {
        tiered: bentostore()
          .useL1Layer(memoryDriver({ maxItems: 1000 }))
          .useL2Layer(redisDriver({ connection: new Redis({ port }) }))
          .useBus(redisBusDriver({ connection: { port, host: '127.0.0.1' } })),
      },
    });
    return {
      update: (version) => bento.set({ key: KEY, value: version }),
      read: async () => (await bento.get({ key: KEY })) ?? 0,
    };
  },
  /** Sends the values themselves to every process. */
  async cacheable(port) {
    const uri = `redis://127.0.0.1:${port}`;
    const cache = new Cacheable({
      secondary: new KeyvRedis(uri),
      sync: { qified: new RedisMessageProvider({ uri }) },
    });
    return {
      update: (version) => cache.set(KEY, version),
      read: async () => (await cache.get(KEY)) ?? 0,
    };
  },
};
