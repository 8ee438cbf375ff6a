import { CacheUsageError } from './core/errors/cache.error.js';

/** What a remote URL asks for. */
export type RemoteKind = 'memory' | 'none' | 'redis';
/** What the URL of a lock store asks for. */
export type LockKind = 'memory' | 'memcached' | 'redis';

const KINDS: Readonly<Record<string, RemoteKind>> = { memory: 'memory', none: 'none', redis: 'redis', rediss: 'redis' };
const LATER = ['memcached', 'memcacheds', 'postgres', 'postgresql', 'mysql', 'mariadb', 'sqlite'];

/**
 * Which store a URL names. The URL may hold a password: no part of it is repeated in an error, except a scheme that is known.
 * @throws CacheUsageError `invalid_option`, `unknown_store`, naming `field`
 * @example remoteKind('redis://cache:6379/0', 'CACHE_URL') // 'redis'
 */
export function remoteKind(url: string, field: string): RemoteKind {
  return kindOf(url, field, 'redis://, rediss://, memory:// or none');
}

/** As {@link remoteKind}, for the locks, which have no kill switch: without a store nobody would be kept out. */
export function lockKind(url: string, field: string): LockKind {
  const scheme = schemeOf(url);
  if (scheme === 'memcached' || scheme === 'memcacheds') {
    if (URL.canParse(url)) return 'memcached';
    throw invalidUrl(field, `${scheme}://host:11211`);
  }
  const known = 'redis://, rediss://, memcached://, memcacheds:// or memory://';
  const kind = kindOf(url, field, known);
  if (kind !== 'none') return kind;
  throw new CacheUsageError('unknown_store', `${field}: locks cannot be switched off; use ${known}`);
}

function kindOf(url: string, field: string, known: string): RemoteKind {
  const scheme = schemeOf(url);
  const kind = Object.hasOwn(KINDS, scheme) ? KINDS[scheme] : undefined;
  if (kind !== undefined && (kind !== 'redis' || URL.canParse(url))) return kind;
  if (kind !== undefined) throw invalidUrl(field, `${scheme}://host:6379/0`);
  if (LATER.includes(scheme))
    throw new CacheUsageError('unknown_store', `${field}: no store for ${scheme} yet in this version; use ${known}`);
  throw new CacheUsageError('unknown_store', `${field} must begin with ${known}`);
}

function schemeOf(url: string): string {
  return (/^([a-z][a-z0-9+.-]*)(?::|$)/i.exec(url)?.[1] ?? '').toLowerCase();
}

function invalidUrl(field: string, example: string): CacheUsageError {
  return new CacheUsageError('invalid_option', `${field} must be a valid URL such as ${example}`);
}
