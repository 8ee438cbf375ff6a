import type { RedisOptions } from 'ioredis';
import { invalidUrl, parseServerUrl } from '../contract/server-url.js';

/**
 * Reads `redis[s]://[user[:password]@]host[:port][/db]`; user and password are percent-decoded, `rediss` means TLS.
 * @throws CacheUsageError `invalid_url`; the message never repeats the address, which may hold a password
 * @example parseRedisUrl('rediss://app:s%40fe@cache.internal:6380/2')
 */
export function parseRedisUrl(url: string): RedisOptions {
  const parsed = parseServerUrl(url, 'redis', '[user:password@]host[:port][/db]');
  const { host, port = 6379, username, password, isSecure } = parsed;
  if (parsed.hasMore) throw invalidUrl('redis', 'it must have no query; give further settings as "connection"');
  const db = /^\/?(\d{0,5})$/.exec(parsed.path)?.[1];
  if (db === undefined) throw invalidUrl('redis', 'the path must be a database number, such as /0');
  return {
    host,
    port,
    db: Number(db),
    ...(username && { username }),
    ...(password && { password }),
    ...(isSecure && { tls: {} }),
  };
}
