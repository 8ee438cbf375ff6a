import { fields, isCount, isText, matches } from '../../option-checks.js';
import { surrogateKey } from '../../http-semantics/fields/surrogate-keys.js';
import { HttpPurge, targetChecks, type HttpPurgeTarget } from './http-purge.js';
import type { PurgeSink } from './purge-sink.js';

/** What `purgeByJson()` takes: where to send, and how the keys stand in the body. */
export interface PurgeByJsonOptions extends HttpPurgeTarget {
  /** Default `POST`. */
  readonly method?: string;
  /** The member of the body that lists the keys. Default `tags`, as Cloudflare has it. */
  readonly member?: string;
  /** Keys in one request; several requests are sent where there are more. Default 30, as Cloudflare allows. */
  readonly maxKeys?: number;
}

const check = fields(
  {
    ...targetChecks,
    method: matches(/^[A-Za-z-]+$/, 'the name of a method, such as POST'),
    member: isText,
    maxKeys: isCount,
  },
  ['url'],
);

/**
 * Purges by requests that name keys in a JSON body, as the API of a CDN wants them.
 * @throws CacheUsageError `unknown_option`, `invalid_option`
 * @example purgeByJson({ url: `https://api.cloudflare.com/client/v4/zones/${zone}/purge_cache`, headers: { authorization: `Bearer ${token}` } })
 */
export function purgeByJson(options: PurgeByJsonOptions): PurgeSink {
  check(options, 'purgeByJson()');
  const { method = 'POST', member = 'tags', maxKeys = 30 } = options;
  const target = new HttpPurge(options);
  const headers = { 'content-type': 'application/json' };
  return {
    name: target.name,
    async purge(tags, signal) {
      const keys = [...new Set(tags.map(surrogateKey))];
      for (let start = 0; start < keys.length; start += maxKeys) {
        const body = JSON.stringify({ [member]: keys.slice(start, start + maxKeys) });
        await target.send({ method, headers, body }, signal);
      }
    },
  };
}
