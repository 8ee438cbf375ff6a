import { CacheUsageError } from './core/errors/cache.error.js';

/** What a remote URL asks for. */
export type RemoteKind = 'memory' | 'none' | 'redis';

const KINDS: Readonly<Record<string, RemoteKind>> = { memory: 'memory', none: 'none', redis: 'redis', rediss: 'redis' };
const LATER = ['memcached', 'postgres', 'postgresql', 'mysql', 'mariadb', 'sqlite'];

/**
 * Which store a URL names. The URL may hold a password: no part of it is repeated in an error, except a scheme that is known.
 * @throws CacheUsageError `invalid_option`, `unknown_store`, naming `field`
 * @example remoteKind('redis://cache:6379/0', 'CACHE_URL') // 'redis'
 */
export function remoteKind(url: string, field: string): RemoteKind {
  const scheme = (/^([a-z][a-z0-9+.-]*)(?::|$)/i.exec(url)?.[1] ?? '').toLowerCase();
  const kind = Object.hasOwn(KINDS, scheme) ? KINDS[scheme] : undefined;
  if (kind !== undefined && (kind !== 'redis' || URL.canParse(url))) return kind;
  if (kind !== undefined)
    throw new CacheUsageError('invalid_option', `${field} must be a valid URL such as ${scheme}://host:6379/0`);
  if (LATER.includes(scheme)) {
    throw new CacheUsageError(
      'unknown_store',
      `${field}: no store for ${scheme} yet in this version; use redis://, rediss://, memory:// or none`,
    );
  }
  throw new CacheUsageError('unknown_store', `${field} must begin with redis://, rediss:// or memory://, or be none`);
}

/** As {@link remoteKind}, for the locks, which have no kill switch: without a store nobody would be kept out. */
export function lockKind(url: string, field: string): Exclude<RemoteKind, 'none'> {
  const kind = remoteKind(url, field);
  if (kind !== 'none') return kind;
  throw new CacheUsageError(
    'unknown_store',
    `${field}: locks cannot be switched off; use redis://, rediss:// or memory://`,
  );
}
