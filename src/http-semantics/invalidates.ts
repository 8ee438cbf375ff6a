import { groupInvalidations } from './fields/cache-groups.js';
import { fieldText, type RequestHead, type ResponseHead } from './fields/fields.js';

/** What to remove after an unsafe request. */
export interface Invalidation {
  /** Absolute URIs without fragment; every variant of each, GET and HEAD. */
  readonly uris: readonly string[];
  /** Groups of the target's origin (RFC 9875); not of other groups that their members are in. */
  readonly groups: readonly string[];
}

/** Methods registered as safe. What is unknown is taken for unsafe. */
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY', 'SEARCH', 'PROPFIND', 'REPORT', 'PRI']);

const NOTHING: Invalidation = { uris: [], groups: [] };

/** Whether a method may change what is stored. */
export function isUnsafe(method: string): boolean {
  return !SAFE.has(method);
}

/**
 * What an exchange invalidates (RFC 9111 4.4, RFC 9875 3): by a non-error answer to an unsafe method its target and, of the same origin,
 * Location and Content-Location; by any answer to one the groups it names. Nothing by a safe method.
 * @param target absolute URI of the request
 */
export function invalidates(request: RequestHead, response: ResponseHead, target: string): Invalidation {
  if (!isUnsafe(request.method)) return NOTHING;
  const groups = groupInvalidations(response.headers);
  if (response.status < 200 || response.status > 399) return { uris: [], groups };
  const base = parsed(target);
  if (!base) return { uris: [], groups };
  const uris = new Set([base.href]);
  for (const name of ['location', 'content-location']) {
    const uri = parsed(fieldText(response.headers, name), base);
    // Another origin's entries are not this one's to remove (denial of service).
    if (uri && uri.origin === base.origin && uri.origin !== 'null') uris.add(uri.href);
  }
  return { uris: [...uris], groups };
}

function parsed(text: string | undefined, base?: URL): URL | undefined {
  if (text === undefined || !URL.canParse(text, base?.href)) return undefined;
  const uri = new URL(text, base?.href);
  uri.hash = '';
  return uri;
}
