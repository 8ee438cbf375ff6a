import { invalidUrl, parseServerUrl } from '../contract/server-url.js';

/** What a URL says of a server. */
export interface MemcachedAddress {
  readonly host: string;
  readonly port: number;
  readonly isSecure: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

/**
 * Reads `memcached[s]://[user:password@]host[:port]`; user and password are percent-decoded, `memcacheds` means TLS.
 * @throws CacheUsageError `invalid_url`; the message never repeats the address, which may hold a password
 * @example parseMemcachedUrl('memcacheds://app:s%40fe@cache.internal:11212')
 */
export function parseMemcachedUrl(url: string): MemcachedAddress {
  const { path, hasMore, port = 11211, ...address } = parseServerUrl(url, 'memcached', '[user:password@]host[:port]');
  if (hasMore || !['', '/'].includes(path))
    throw invalidUrl('memcached', 'nothing may follow the port: Memcached has no databases');
  return { ...address, port };
}
