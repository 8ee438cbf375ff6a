import { createHash } from 'node:crypto';
import { nameList } from './fields/field-list.js';
import { fieldLines, fieldText, type Fields } from './fields/fields.js';
import type { CachePolicy } from './cache-policy.js';

/** What a stored response was selected by: field name and the value the request had, `null` where it had none. */
export type VarySelection = readonly (readonly [name: string, value: string | null])[];

type VaryRules = Pick<CachePolicy, 'varyMatch' | 'codings'>;

/** The lower-case, sorted names in `Vary`, over all its lines; `'*'` where that is among them: then nothing can be reused. */
export function varyNames(headers: Fields): readonly string[] | '*' {
  const lines = fieldLines(headers, 'vary');
  if (lines.length === 0) return [];
  const names = nameList(lines);
  return names.includes('*') ? '*' : names.sort();
}

/** What a request says in the given fields, normalised. */
export function varySelection(names: readonly string[], request: Fields, rules: VaryRules): VarySelection {
  return names.map((name) => [name, normalised(name, request, rules)] as const);
}

/** Whether a request would have selected this response (RFC 9111 4.1). Absent and empty are different. */
export function selects(selection: VarySelection, request: Fields, rules: VaryRules): boolean {
  for (const [name, value] of selection) if (normalised(name, request, rules) !== value) return false;
  return true;
}

/**
 * The secondary key of a request: injective over names and values, for a store that holds a Vary list per URL and one entry per variant.
 * @example variantKey(['accept-language'], { 'accept-language': 'en' }, policy) // '["accept-language","en"]'
 */
export function variantKey(names: readonly string[], request: Fields, rules: VaryRules): string {
  return JSON.stringify(varySelection(names, request, rules).flat());
}

/** Adds names to a Vary value; `*` swallows everything. `undefined` where there is nothing to vary by. */
export function mergeVary(existing: Fields[string], names: readonly string[]): string | undefined {
  const lines = existing === undefined ? [] : typeof existing === 'string' ? [existing] : existing;
  const spelled = lines.flatMap((line) => line.split(',')).map((name) => name.trim());
  const seen = new Map<string, string>();
  for (const name of [...spelled, ...names])
    if (name !== '' && !seen.has(name.toLowerCase())) seen.set(name.toLowerCase(), name);
  if (seen.has('*')) return '*';
  return seen.size > 0 ? [...seen.values()].join(', ') : undefined;
}

/** Commas in these separate nothing, or what they separate must not be touched. */
const NOT_LISTS = new Set(['user-agent', 'referer', 'origin', 'host', 'from']);
/** Kept as a digest: an entry holds nobody's credentials. */
const SECRETS = new Set(['cookie', 'authorization', 'proxy-authorization']);

function normalised(name: string, request: Fields, rules: VaryRules): string | null {
  const text = fieldText(request, name);
  if (name === 'accept-encoding' && rules.codings) return acceptedCodings(text, rules.codings);
  if (text === undefined) return null;
  if (SECRETS.has(name)) return createHash('sha256').update(text.trim()).digest('base64url');
  if (rules.varyMatch === 'exact' || NOT_LISTS.has(name) || text.includes('"')) return text.trim();
  const members = text.split(',').map((member) => member.trim());
  if (name !== 'accept-language') return members.join(',');
  return members
    .map((member) => member.toLowerCase().replace(/\s+/g, ''))
    .sort()
    .join(',');
}

/** Which codings in use a request accepts (RFC 9110 12.5.3): all that matters, since any of them can be read by the client. */
function acceptedCodings(text: string | undefined, codings: readonly string[]): string {
  const accepted = new Map<string, boolean>();
  for (const member of (text ?? '').split(',')) {
    const [coding = '', ...parameters] = member.split(';').map((part) => part.trim().toLowerCase());
    const isRefused = parameters.some((parameter) => /^q\s*=\s*0(\.0*)?$/.test(parameter));
    if (coding !== '') accepted.set(coding === 'x-gzip' ? 'gzip' : coding, !isRefused);
  }
  const all = accepted.get('*') ?? false;
  const usable = codings.filter((coding) => accepted.get(coding) ?? all);
  const noIdentity = (accepted.get('identity') ?? accepted.get('*') ?? true) === false;
  return usable.join(',') + (noIdentity ? ',!identity' : '');
}
