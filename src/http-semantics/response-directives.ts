import { MAX_SECONDS, parseCacheControl, type Directives } from './fields/cache-control.js';
import { fieldLines, type Fields } from './fields/fields.js';
import { parseDictionary, type Member } from './fields/structured-field.js';
import type { CachePolicy } from './cache-policy.js';

/** The directives that govern a response, and whether a targeted field gave them: then `Expires` is ignored too. */
export interface ResponseDirectives {
  readonly directives: Directives;
  readonly isTargeted: boolean;
}

/**
 * Finds the directives for this cache: the first targeted field that is valid and not empty, else Cache-Control (RFC 9213 2.2).
 * In ttl mode an opt-out in Cache-Control stands beside a targeted field: an application that says `no-store` means us.
 */
export function responseDirectives(headers: Fields, policy: CachePolicy): ResponseDirectives {
  for (const name of policy.targets) {
    const targeted = targetedDirectives(fieldLines(headers, name));
    if (!targeted) continue;
    if (policy.mode === 'rfc') return { directives: targeted, isTargeted: true };
    return { directives: withOptOuts(targeted, cacheControl(headers)), isTargeted: true };
  }
  return { directives: cacheControl(headers), isTargeted: false };
}

function cacheControl(headers: Fields): Directives {
  return parseCacheControl(fieldLines(headers, 'cache-control'));
}

function withOptOuts(targeted: Directives, general: Directives): Directives {
  const both = { ...targeted };
  for (const flag of ['noStore', 'noCache', 'private', 'mustRevalidate', 'proxyRevalidate'] as const)
    if (general[flag]) both[flag] = true;
  for (const list of ['noCacheFields', 'privateFields'] as const)
    if (general[list]) both[list] = [...(both[list] ?? []), ...general[list]];
  return both;
}

const FLAGS: Readonly<Record<string, keyof Directives>> = {
  'no-store': 'noStore',
  'no-cache': 'noCache',
  private: 'private',
  public: 'public',
  'must-revalidate': 'mustRevalidate',
  'proxy-revalidate': 'proxyRevalidate',
  'must-understand': 'mustUnderstand',
  'no-transform': 'noTransform',
  immutable: 'immutable',
};

const TIMES: Readonly<Record<string, keyof Directives>> = {
  'max-age': 'maxAge',
  's-maxage': 'sMaxage',
  'stale-while-revalidate': 'staleWhileRevalidate',
  'stale-if-error': 'staleIfError',
};

const LISTS: Readonly<Record<string, keyof Directives>> = { 'no-cache': 'noCacheFields', private: 'privateFields' };

/** `undefined` where the field is absent, empty, no Dictionary, or has a directive of the wrong type: then it is as if absent. */
function targetedDirectives(lines: readonly string[]): Directives | undefined {
  if (lines.length === 0) return undefined;
  const members = parseDictionary(lines);
  if (!members || members.size === 0) return undefined;
  const found: Record<string, unknown> = {};
  for (const [name, member] of members) if (!applyMember(found, name, member)) return undefined;
  return found as Directives;
}

/** False where a directive that we know has a value of a type that it cannot have. */
function applyMember(found: Record<string, unknown>, name: string, member: Member): boolean {
  const time = Object.hasOwn(TIMES, name) ? TIMES[name] : undefined;
  if (time) {
    if (member.type !== 'integer' || member.value < 0) return false;
    found[time] = Math.min(member.value, MAX_SECONDS);
    return true;
  }
  const flag = Object.hasOwn(FLAGS, name) ? FLAGS[name] : undefined;
  if (!flag) return true;
  const list = LISTS[name];
  if (list && member.type === 'string') {
    const names = member.value.split(',').map((field) => field.trim().toLowerCase());
    if (names.some((field) => field === '')) found[flag] = true;
    else found[list] = names;
    return true;
  }
  if (member.type !== 'boolean') return false;
  if (member.value) found[flag] = true;
  return true;
}
