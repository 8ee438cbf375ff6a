import { fieldLines, type Fields } from './fields/fields.js';
import { parseDictionary, structuredString, type Member } from './fields/structured-field.js';
import type { QueryRules } from './request-key.js';

/**
 * What of a URL's query a response does not depend on (draft-ietf-httpbis-no-vary-search of 2026-07), as rules for
 * `canonicalQuery`: look the exact query up first, then the one that the path's newest response simplifies it to. Without the field, or with an invalid one, everything counts.
 */
export function noVarySearch(headers: Fields): QueryRules {
  const members = parseDictionary(fieldLines(headers, 'no-vary-search'));
  if (!members) return {};
  const params = names(members.get('params'));
  const except = names(members.get('except'));
  const order = members.get('key-order');
  const isSorted = order?.type === 'boolean' && order.value;
  const isInvalid =
    (members.has('params') && !params) ||
    (members.has('except') && !except) ||
    (members.has('params') && members.has('except')) ||
    (order !== undefined && order.type !== 'boolean');
  if (isInvalid) return {};
  return { ...(params && { ignore: params }), ...(except && { allow: except }), ...(isSorted && { isSorted }) };
}

/** Writes the field from a route's rules: `allow` becomes `except`, `ignore` becomes `params`. `undefined` where everything counts. */
export function formatNoVarySearch({ allow, ignore, isSorted }: QueryRules): string | undefined {
  const list = (of: readonly string[]): string => `(${of.map(structuredString).join(' ')})`;
  const members = [
    ...(isSorted ? ['key-order'] : []),
    ...(allow ? [`except=${list(allow)}`] : ignore && ignore.length > 0 ? [`params=${list(ignore)}`] : []),
  ];
  return members.length > 0 ? members.join(', ') : undefined;
}

function names(member: Member | undefined): readonly string[] | undefined {
  if (member?.type !== 'inner-list' || !member.value.every((item) => item.type === 'string')) return undefined;
  return member.value.map((item) => item.value as string);
}
