import { fieldLines, type Fields } from './fields.js';
import { parseStructuredList, structuredString } from './structured-field.js';

/** The groups that a response says it belongs to (RFC 9875 2): our tags. None where the field is no list of Strings. */
export function cacheGroups(headers: Fields): readonly string[] {
  return strings(fieldLines(headers, 'cache-groups'));
}

/** The groups that a response asks to invalidate (RFC 9875 3). Only to be obeyed on an answer to an unsafe method. */
export function groupInvalidations(headers: Fields): readonly string[] {
  return strings(fieldLines(headers, 'cache-group-invalidation'));
}

/** Writes Cache-Groups, for the caches in front of us. Groups that cannot be written as Strings are left out. */
export function formatCacheGroups(groups: readonly string[]): string {
  return groups
    .filter((group) => /^[\x20-\x7e]*$/.test(group))
    .map(structuredString)
    .join(', ');
}

function strings(lines: readonly string[]): readonly string[] {
  if (lines.length === 0) return [];
  const members = parseStructuredList(lines) ?? [];
  if (!members.every((member) => member.type === 'string')) return [];
  return [...new Set(members.map((member) => member.value as string))];
}
