import { cacheGroups } from '../http-semantics/fields/cache-groups.js';
import type { Fields } from '../http-semantics/fields/fields.js';
import { absoluteForm } from './policy/absolute-form.js';
import type { Covers } from './policy/input-name.js';
import type { RequestView } from './policy/request-view.js';
import { sharedAbove } from './shared-paths.js';

/**
 * The label of every response to a path, whatever its query and its variant: who changes a resource cannot know by which parameters its pages
 * are told apart.
 */
export function uriTag(uri: string): string {
  return label('uri', uri);
}

/** The labels of a response that its path gives it. Where its key leaves a part of the path out, it is the page of other paths, too. */
export function pathTags(view: RequestView, covers: Covers): string[] {
  const uri = uriOf(view);
  const above = sharedAbove(view, covers);
  return above === undefined ? [uriTag(uri)] : [uriTag(uri), label('under', uri, above)];
}

/** The labels of pages that a path may share with others. */
export function sharedTags(uri: string): string[] {
  if (!URL.canParse(uri)) return [];
  const tags: string[] = [];
  for (let path = new URL(uri).pathname; path !== '/' && path !== '';) {
    path = path.replace(/\/[^/]*\/?$/, '');
    tags.push(label('under', uri, path || '/'));
  }
  return tags;
}

function label(kind: 'uri' | 'under', uri: string, path?: string): string {
  if (!URL.canParse(uri)) return `${kind}:${uri}`;
  const { protocol, host, pathname } = new URL(uri);
  return `${kind}:${protocol}//${host}${pathOf(path ?? pathname)}`;
}

/** One spelling for those that a router may take for the same: escapes, case, a slash at the end. A page too many goes, none too few. */
function pathOf(pathname: string): string {
  try {
    return encodeURI(decodeURI(pathname).toLowerCase()).replace(/(?<=.)\/$/, '');
  } catch {
    return pathname;
  }
}

/** The URI that a request is for; the host is the one that the application sees, whatever another the target may name. */
export function uriOf({ protocol, host, url }: RequestView): string {
  return `${protocol}://${host}${url.startsWith('/') ? url : (absoluteForm(url)?.target ?? url)}`;
}

/** The label of every response that says it belongs to a group (RFC 9875). */
export function groupTag(group: string): string {
  return `group:${group}`;
}

/** Those of the groups that a response names. */
export function groupTags(headers: Fields): string[] {
  return cacheGroups(headers).map(groupTag);
}
