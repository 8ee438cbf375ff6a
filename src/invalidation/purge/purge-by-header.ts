import { fields, isCount, isHeaderName, matches, oneOf } from '../../option-checks.js';
import { surrogateKey } from '../../http-semantics/fields/surrogate-keys.js';
import { HttpPurge, targetChecks, type HttpPurgeTarget } from './http-purge.js';
import type { PurgeSink } from './purge-sink.js';

/** What `purgeByHeader()` takes: where to send, and how the keys stand in the header. */
export interface PurgeByHeaderOptions extends HttpPurgeTarget {
  /** Default `PURGE`. */
  readonly method?: string;
  /** The request header that names what is to be purged. Default `xkey-purge`. */
  readonly header?: string;
  /**
   * `keys`: a list of keys, for a cache that knows them (Varnish with xkey, Fastly). `pattern`: a regular expression that finds each of the
   * keys in the header of a stored response, for a ban (`obj.http.xkey ~ req.http.x-ban`). Default `keys`.
   */
  readonly as?: 'keys' | 'pattern';
  /** Between keys. Default a space; Akamai and others want a comma. */
  readonly separator?: string;
  /** As many requests are sent as it takes to keep each header below this. Default 4096: servers take 8 KB, of all headers or of one. */
  readonly maxBytes?: number;
  /** Nor does a request name more keys than these. Default 256, which is all that Fastly takes: it refuses a request with more. */
  readonly maxKeys?: number;
}

const check = fields(
  {
    ...targetChecks,
    method: matches(/^[A-Za-z-]+$/, 'the name of a method, such as PURGE, BAN or POST'),
    header: isHeaderName,
    as: oneOf('keys', 'pattern'),
    separator: matches(/^[\t\x20-\x7e]+$/, 'visible characters or spaces'),
    maxBytes: isCount,
    maxKeys: isCount,
  },
  ['url'],
);

/**
 * Purges by requests that name keys in a header. The URL is configuration: it is asked as it is, private addresses included.
 * @throws CacheUsageError `unknown_option`, `invalid_option`
 * @example purgeByHeader({ url: ['http://varnish-1', 'http://varnish-2'], method: 'BAN', header: 'x-ban', as: 'pattern' })
 * @example purgeByHeader({ url: `https://api.fastly.com/service/${id}/purge`, method: 'POST', header: 'surrogate-key', headers: { 'fastly-key': key } })
 */
export function purgeByHeader(options: PurgeByHeaderOptions): PurgeSink {
  check(options, 'purgeByHeader()');
  const { method = 'PURGE', header = 'xkey-purge', as = 'keys', separator = ' ' } = options;
  const { maxBytes = 4096, maxKeys = 256 } = options;
  const target = new HttpPurge(options);
  const [form, join, wrap] =
    as === 'keys'
      ? [(key: string) => key, separator, (list: string) => list]
      : [escapedPattern, '|', (list: string) => `(?:^|[\\s,])(?:${list})(?:$|[\\s,])`];
  const room = maxBytes - wrap('').length;
  return {
    name: target.name,
    async purge(tags, signal) {
      const keys = [...new Set(tags.map((tag) => form(surrogateKey(tag))))];
      for (const list of lists(keys, join, room, maxKeys))
        await target.send({ method, headers: { [header]: wrap(list) } }, signal);
    },
  };
}

/** Joined, each no longer than `room` unless a single key is, and of `most` keys. Keys are ASCII. */
function* lists(keys: readonly string[], separator: string, room: number, most: number): Generator<string> {
  let list = '';
  let count = 0;
  for (const key of keys) {
    if (count === most || (list !== '' && list.length + separator.length + key.length > room)) {
      yield list;
      list = '';
      count = 0;
    }
    list += list === '' ? key : separator + key;
    count++;
  }
  if (list !== '') yield list;
}

/** A ban is split at white space: neither this nor what is around it has any. */
function escapedPattern(key: string): string {
  return key.replace(/[$()*+.?[\\\]^{|}/-]/g, '\\$&');
}
