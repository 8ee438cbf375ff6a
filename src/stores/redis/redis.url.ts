import type { RedisOptions } from 'ioredis';
import { CacheUsageError } from '../../core/errors/cache.error.js';

/**
 * Reads `redis[s]://[user[:password]@]host[:port][/db]`; user and password are percent-decoded, `rediss` means TLS.
 * @throws CacheUsageError `invalid_url`; the message never repeats the address, which may hold a password
 * @example parseRedisUrl('rediss://app:s%40fe@cache.internal:6380/2')
 */
export function parseRedisUrl(url: string): RedisOptions {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || !['redis:', 'rediss:'].includes(parsed.protocol) || parsed.hostname === '')
    throw invalid('it must look like redis://[user:password@]host[:port][/db], or rediss:// for TLS');
  if (parsed.search || parsed.hash) throw invalid('it must have no query; give further settings as "connection"');
  const db = /^\/?(\d{0,5})$/.exec(parsed.pathname)?.[1];
  if (db === undefined) throw invalid('the path must be a database number, such as /0');
  return {
    host: parsed.hostname.replace(/^\[|\]$/g, ''),
    port: parsed.port === '' ? 6379 : Number(parsed.port),
    db: Number(db),
    ...(parsed.username && { username: decoded(parsed.username) }),
    ...(parsed.password && { password: decoded(parsed.password) }),
    ...(parsed.protocol === 'rediss:' && { tls: {} }),
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalid('user and password must be percent-encoded');
  }
}

function invalid(mend: string): CacheUsageError {
  return new CacheUsageError('invalid_url', `the redis url cannot be used: ${mend}`);
}
