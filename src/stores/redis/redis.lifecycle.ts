import { once } from 'node:events';
import type { RedisClient } from './redis.driver.js';
import { cut } from './redis.watchdog.js';

const QUIT_MS = 500;

/** Settles when the attempt to connect that is under way has succeeded or failed. */
export function firstOutcome(client: RedisClient): Promise<void> {
  if (client.status === 'ready' || client.status === 'end') return Promise.resolve();
  return new Promise((resolve) => {
    const events = ['ready', 'error', 'close', 'end'];
    const settle = (): void => {
      for (const event of events) client.off(event, settle);
      resolve();
    };
    for (const event of events) client.on(event, settle);
  });
}

/** Lets commands under way finish, if the server answers, then closes for good. Leaves no socket and no timer behind. */
export async function closeClient(client: RedisClient): Promise<void> {
  if (client.status === 'ready') {
    const abort = new AbortController();
    const ended = once(client, 'end', { signal: abort.signal }).catch(() => {});
    const timer = setTimeout(() => abort.abort(), QUIT_MS);
    client.quit().catch(() => abort.abort());
    await ended;
    clearTimeout(timer);
  }
  // Also where it has ended: the driver's connections to sentinels have not.
  client.disconnect();
  cut(client);
}
