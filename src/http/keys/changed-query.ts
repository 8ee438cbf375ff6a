import type { Fields, RequestView } from '../policy/request-view.js';

/**
 * The parsed query of a request, if it says something else than the URL: guards and middleware may have put something there, a tenant, say, or
 * the parser makes more of it than names and texts. `undefined`: it says the same, or is made of the URL whenever it is asked for (Express).
 */
export function changedQuery({ kind, request, search }: RequestView): Fields | undefined {
  if (kind !== 'http' || !Object.hasOwn(request, 'query')) return undefined;
  const query = request['query'] as Fields | null | undefined;
  return typeof query === 'object' && query !== null && !isAsSent(query, search) ? query : undefined;
}

function isAsSent(query: Fields, search: string): boolean {
  const names = Object.keys(query);
  if (search === '') return names.length === 0;
  const sent = new URLSearchParams(search);
  for (const name of names) {
    const values = sent.getAll(name);
    const value = query[name];
    const texts: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (texts.length !== values.length || texts.some((text, at) => text !== values[at])) return false;
  }
  return new Set(sent.keys()).size === names.length;
}
