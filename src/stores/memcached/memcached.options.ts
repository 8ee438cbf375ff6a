import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { fitsTimer, TIMER_RANGE } from '../../core/clock/clock.js';
import { CacheUsageError } from '../../core/errors/cache.error.js';
import { parseMemcachedUrl } from './memcached.url.js';

/** Where the server is, and under which names things are kept there. */
export interface MemcachedStoreOptions {
  /** `memcached[s]://[user:password@]host[:port]`; `memcacheds` means TLS. Default `memcached://127.0.0.1:11211`. */
  url?: string | undefined;
  /** Speaks TLS (`true`: as for `memcacheds://`), with settings of `tls.connect()` such as `ca`, `cert`, `servername`. */
  tls?: boolean | ConnectionOptions | undefined;
  /** For servers with an authentication file (`memcached -Y`), in place of the user in `url`. SASL is not spoken. */
  username?: string | undefined;
  /** In place of the password in `url`. It is sent to servers that ask for one only. */
  password?: string | undefined;
  /** In front of every key: 1 to 45 printable ASCII characters without braces and white space. Default `tc`. */
  prefix?: string | undefined;
  /** Milliseconds until an attempt to connect, greeting and login included, has failed. Default 1000. */
  connectTimeout?: number | undefined;
}

/** A server to connect to. */
export interface MemcachedTarget {
  readonly host: string;
  readonly port: number;
  /** `undefined`: not encrypted. */
  readonly tls: ConnectionOptions | undefined;
  readonly login: { readonly username: string; readonly password: string } | undefined;
  readonly connectTimeout: number;
}

/** @throws CacheUsageError `invalid_memcached_options`, `invalid_url` */
export function memcachedTarget(options: MemcachedStoreOptions): MemcachedTarget {
  const { url = 'memcached://127.0.0.1:11211', prefix = 'tc', connectTimeout = 1000, tls } = options;
  const { host, port, isSecure, ...inUrl } = parseMemcachedUrl(url);
  // Of 250 bytes a key has 200 for its name.
  if (!/^[\x21-\x7a|~]{1,45}$/.test(prefix))
    throw invalid('prefix must be 1 to 45 printable ASCII characters without braces and white space');
  if (!fitsTimer(connectTimeout)) throw invalid(`connectTimeout must be ${TIMER_RANGE}`);
  if (isSecure && tls === false) throw invalid('memcacheds:// means TLS: use memcached://, or leave tls out');
  const isEncrypted = isSecure || (tls !== undefined && tls !== false);
  const servername = isIP(host) === 0 ? { servername: host } : {};
  return {
    host,
    port,
    tls: isEncrypted ? { ...servername, ...(typeof tls === 'object' ? tls : {}) } : undefined,
    login: loginOf(options.username ?? inUrl.username, options.password ?? inUrl.password),
    connectTimeout,
  };
}

function loginOf(username: string | undefined, password: string | undefined): MemcachedTarget['login'] {
  if (username === undefined && password === undefined) return undefined;
  if (!username || !password) throw invalid('user name and password go together');
  // Memcached reads them as two words of a line.
  if (!/^[^\s:\p{Cc}]+$/u.test(username) || !/^[^\s\p{Cc}]+$/u.test(password))
    throw invalid('user name and password have no white space and no control characters, a user name no colon');
  return { username, password };
}

function invalid(mend: string): CacheUsageError {
  return new CacheUsageError('invalid_memcached_options', `memcached: ${mend}`);
}
