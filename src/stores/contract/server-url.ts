import { CacheUsageError } from '../../core/errors/cache.error.js';

/** What the URL of any server says. */
export interface ServerUrl {
  readonly host: string;
  /** `undefined`: not said. */
  readonly port: number | undefined;
  readonly isSecure: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly path: string;
  /** Whether a query or a fragment follows. */
  readonly hasMore: boolean;
}

/**
 * Reads `scheme[s]://[user[:password]@]host[:port]...`; user and password are percent-decoded, an `s` means TLS.
 * @param pattern what is to follow the scheme, for the message
 * @throws CacheUsageError `invalid_url`; the message never repeats the address, which may hold a password
 */
export function parseServerUrl(url: string, scheme: string, pattern: string): ServerUrl {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || ![`${scheme}:`, `${scheme}s:`].includes(parsed.protocol) || parsed.hostname === '')
    throw invalidUrl(scheme, `it must look like ${scheme}://${pattern}, or ${scheme}s:// for TLS`);
  const decoded = (part: string): string | undefined => {
    try {
      return part === '' ? undefined : decodeURIComponent(part);
    } catch {
      throw invalidUrl(scheme, 'user and password must be percent-encoded');
    }
  };
  return {
    host: parsed.hostname.replace(/^\[|\]$/g, ''),
    port: parsed.port === '' ? undefined : Number(parsed.port),
    isSecure: parsed.protocol === `${scheme}s:`,
    username: decoded(parsed.username),
    password: decoded(parsed.password),
    path: parsed.pathname,
    hasMore: parsed.search !== '' || parsed.hash !== '',
  };
}

export function invalidUrl(scheme: string, mend: string): CacheUsageError {
  return new CacheUsageError('invalid_url', `the ${scheme} url cannot be used: ${mend}`);
}
