import type { LockStoreRole } from '../../locks/contract/lock-store.js';
import { isCluster, type RedisClient } from './redis.driver.js';

/** Whether any of the servers drops keys under memory pressure: it did so with 19 to 20 of 20 held locks (reference/locks.md 0.4). */
export async function roleOf(client: RedisClient): Promise<LockStoreRole> {
  const nodes = isCluster(client) ? client.nodes('master') : [client];
  for (const node of nodes) {
    const memory = await node.info('memory');
    const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1] ?? 'noeviction';
    const limit = Number(/^maxmemory:(\d+)/m.exec(memory)?.[1] ?? 0);
    if (limit > 0 && policy !== 'noeviction') return { evicts: `maxmemory-policy ${policy}` };
  }
  return { evicts: undefined };
}
