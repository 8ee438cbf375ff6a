import { describe, expect, it } from 'vitest';
import { READS_AT_ONCE } from '../../src/stores/contract/cache-store.js';
import type { RedisConnection } from '../../src/stores/redis/redis.connection.js';
import { RedisReadBatch } from '../../src/stores/redis/redis.read-batch.js';

const VALUE_BYTES = 10;

/** A connection whose server has a value for every key but `none`. */
function connect() {
  const replies: Array<Array<Buffer | null>> = [];
  const client = {
    mgetBuffer(keys: string[]) {
      const reply = keys.map((key) => (key === 'none' ? null : Buffer.from(key.padEnd(VALUE_BYTES))));
      replies.push(reply);
      return Promise.resolve(reply);
    },
    cork() {},
    uncork() {},
  };
  const run = (_: string, command: (using: typeof client) => unknown): unknown => command(client);
  return { replies, connection: { run } as unknown as RedisConnection };
}

const words = (found: Array<Buffer | undefined>): Array<string | undefined> =>
  found.map((value) => value?.toString().trimEnd());

describe('reads of one tick', () => {
  it('are one command, and each caller gets its own', async () => {
    const { connection, replies } = connect();
    const batch = new RedisReadBatch(connection);
    const [one, other] = await Promise.all([batch.get(['a', 'none']), batch.get(['b'])]);
    expect([words(one), words(other)]).toEqual([['a', undefined], ['b']]);
    expect(replies).toHaveLength(1);
  });

  it('are sent at once when they are many, and those after them by themselves', async () => {
    const { connection, replies } = connect();
    const batch = new RedisReadBatch(connection);
    const keys = Array.from({ length: READS_AT_ONCE }, (_, i) => `key${i}`);
    const answers = [batch.get(['a']), batch.get(keys), batch.get(['b'])];
    expect(replies.map((reply) => reply.length)).toEqual([READS_AT_ONCE + 1]);
    expect((await Promise.all(answers)).map(words)).toEqual([['a'], keys, ['b']]);
    expect(replies).toHaveLength(2);
  });

  it.each([2, 1200])('leave nothing of %d values in what the driver keeps of its replies', async (count) => {
    const { connection, replies } = connect();
    const keys = Array.from({ length: count }, (_, i) => `key${i}`);
    expect(words(await new RedisReadBatch(connection).get(keys))).toEqual(keys);
    expect(replies.flat()).toEqual([]);
  });
});
