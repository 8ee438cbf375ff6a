import { Redis } from 'ioredis';
import Redlock from 'redlock';
import { Mutex } from 'redis-semaphore';
import { createLock, IoredisAdapter } from 'redlock-universal';

const LEASE_MS = 10_000;
const WAIT_MS = 30_000;

/**
 * Locks of others, with their own defaults but for the time that they wait: name -> port -> { acquire(key), release(lock), close() }.
 */
export const lockPeers = {
  'redlock 4.2'(port) {
    const client = new Redis({ port });
    const redlock = new Redlock([client], { retryCount: -1 });
    redlock.on('clientError', () => undefined);
    return {
      acquire: (key) => redlock.lock(`redlock:${key}`, LEASE_MS),
      release: (lock) => lock.unlock(),
      close: () => client.disconnect(),
    };
  },
  'redis-semaphore 5.8'(port) {
    const client = new Redis({ port });
    const options = { lockTimeout: LEASE_MS, acquireTimeout: WAIT_MS };
    return {
      async acquire(key) {
        const mutex = new Mutex(client, `semaphore:${key}`, options);
        await mutex.acquire();
        return mutex;
      },
      release: (mutex) => mutex.release(),
      close: () => client.disconnect(),
    };
  },
  // It asks for Node 22 in its package.json, and works on 20.
  'redlock-universal 0.8'(port) {
    const client = new Redis({ port });
    const options = { adapter: new IoredisAdapter(client), ttl: LEASE_MS, retryAttempts: Number.MAX_SAFE_INTEGER };
    return {
      async acquire(key) {
        const lock = createLock({ ...options, key: `universal:${key}` });
        const handle = await lock.acquire();
        return () => lock.release(handle);
      },
      release: (release) => release(),
      close: () => client.disconnect(),
    };
  },
};
