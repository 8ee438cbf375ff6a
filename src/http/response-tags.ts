import { cacheGroups } from '../http-semantics/fields/cache-groups.js';
import type { Fields } from '../http-semantics/fields/fields.js';
import type { RequestView } from './policy/request-view.js';

/** The label of every response to a URI, in whatever variant. */
export function uriTag(uri: string): string {
  return `uri:${URL.canParse(uri) ? new URL(uri).href : uri}`;
}

/** The URI that a request is for. */
export function uriOf({ protocol, host, url }: RequestView): string {
  return `${protocol}://${host}${url}`;
}

/** The label of every response that says it belongs to a group (RFC 9875). */
export function groupTag(group: string): string {
  return `group:${group}`;
}

/** Those of the groups that a response names. */
export function groupTags(headers: Fields): string[] {
  return cacheGroups(headers).map(groupTag);
}
