import { READS_AT_ONCE } from '../contract/cache-store.js';
import type { RedisConnection } from './redis.connection.js';
import { inOneWrite } from './redis.cork.js';
import { isCluster, type RedisClient } from './redis.driver.js';
import { sendPacked } from './redis.packed-command.js';

type Found = Array<Buffer | undefined>;

interface Waiting {
  readonly count: number;
  readonly resolve: (found: Found) => void;
  readonly reject: (error: unknown) => void;
}

/** More keys than this in one MGET would hold up the server's other clients. */
const KEYS_PER_COMMAND = 500;

/** Collects the reads of one tick: one MGET on a single server, single GETs in one write on a cluster (keys differ in slot). */
export class RedisReadBatch {
  #keys: string[] = [];
  #waiting: Waiting[] = [];

  constructor(private readonly connection: RedisConnection) {}

  /** The values of full keys, in order. */
  get(keys: readonly string[]): Promise<Found> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) process.nextTick(() => void this.#flush());
      for (const key of keys) this.#keys.push(key);
      this.#waiting.push({ count: keys.length, resolve, reject });
      if (this.#keys.length >= READS_AT_ONCE) void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    const keys = this.#keys;
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#keys = [];
    this.#waiting = [];
    try {
      const found = takeAll(await this.connection.run('read', (client) => fetch(client, keys)));
      let from = 0;
      for (const { count, resolve } of waiting)
        resolve(count === found.length ? found : found.slice(from, (from += count)));
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }
}

type Reply = Array<Buffer | null>;

async function fetch(client: RedisClient, keys: string[]): Promise<Reply> {
  if (!isCluster(client) && keys.length <= KEYS_PER_COMMAND) return mget(client, keys);
  return inOneWrite(client, async () => {
    if (isCluster(client)) return Promise.all(keys.map((key) => client.getBuffer(key)));
    const parts: Array<Promise<Reply>> = [];
    for (let i = 0; i < keys.length; i += KEYS_PER_COMMAND)
      parts.push(mget(client, keys.slice(i, i + KEYS_PER_COMMAND)));
    return (await Promise.all(parts)).flatMap((part) => part.splice(0));
  });
}

function mget(client: RedisClient, keys: string[]): Promise<Reply> {
  return (sendPacked(client, 'mget', keys) as Promise<Reply> | undefined) ?? client.mgetBuffer(keys);
}

/**
 * The values, views of what the socket read: good to decode at once, too large to keep. The reply is left empty: V8 keeps the promises of
 * successive replies alive in a chain until a major collection, which all they held would only bring nearer.
 */
function takeAll(reply: Reply): Found {
  const found = reply.map((value) => value ?? undefined);
  reply.length = 0;
  return found;
}
