import { expect, it, vi } from 'vitest';
import type { RedisClient } from '../../src/stores/redis/redis.driver.js';
import { RedisScriptLoader } from '../../src/stores/redis/redis.script-loader.js';
import { RELEASE } from '../../src/stores/redis/redis.scripts.js';

const unknown = Object.assign(new Error('NOSCRIPT No matching script.'), { name: 'ReplyError' });

/** A cluster that knows no script; those of its masters that are there learn. */
function cluster(masters: ReadonlyArray<'there' | 'away'>) {
  let isKnown = false;
  const nodes = masters.map((state) => ({
    script: vi.fn(async () => {
      if (state === 'away') throw new Error('Connection is closed.');
      isKnown = true;
    }),
  }));
  const evalshaBuffer = vi.fn(async () => {
    if (!isKnown) throw unknown;
    return 1;
  });
  return { nodes, client: { isCluster: true, nodes: () => nodes, evalshaBuffer } as unknown as RedisClient };
}

it('a master that is away keeps nobody from loading a script into the others', async () => {
  const { nodes, client } = cluster(['there', 'away', 'there']);
  await expect(new RedisScriptLoader().run(client, RELEASE, ['k'], ['t', 'c', 'm'])).resolves.toBe(1);
  for (const { script } of nodes) expect(script).toHaveBeenCalledTimes(1);
});

it('where none can be told, it fails as that did', async () => {
  const { client } = cluster(['away']);
  await expect(new RedisScriptLoader().run(client, RELEASE, ['k'], ['t', 'c', 'm'])).rejects.toThrow('closed');
});
