import { splitList } from './field-list.js';
import { isFieldName } from './field-name.js';

/** What a Cache-Control field says, at its most restrictive reading. Times in seconds. */
export interface Directives {
  noStore?: boolean;
  noCache?: boolean;
  /** Of `no-cache="a, b"`: fields not to be reused without validation. */
  noCacheFields?: readonly string[];
  private?: boolean;
  /** Of `private="a, b"`: fields that a shared cache must not store. */
  privateFields?: readonly string[];
  public?: boolean;
  mustRevalidate?: boolean;
  proxyRevalidate?: boolean;
  mustUnderstand?: boolean;
  noTransform?: boolean;
  immutable?: boolean;
  onlyIfCached?: boolean;
  maxAge?: number;
  sMaxage?: number;
  staleWhileRevalidate?: number;
  staleIfError?: number;
  minFresh?: number;
  /** `Infinity` for a bare `max-stale`. */
  maxStale?: number;
}

/** The longest time that is told apart: 2^31 seconds (RFC 9111 1.2.2). */
export const MAX_SECONDS = 2_147_483_648;

const NAME = /[!#$%&'*+\-.^_`|~0-9a-z]+/i;
const QUOTED = /^"((?:[^"\\]|\\.)*)"$/s;

const FLAGS = {
  'no-store': 'noStore',
  public: 'public',
  'must-revalidate': 'mustRevalidate',
  'proxy-revalidate': 'proxyRevalidate',
  'must-understand': 'mustUnderstand',
  'no-transform': 'noTransform',
  immutable: 'immutable',
  'only-if-cached': 'onlyIfCached',
} as const;

const FIELD_LISTS = {
  'no-cache': ['noCache', 'noCacheFields'],
  private: ['private', 'privateFields'],
} as const;

/** Freshness: anything unreadable or contradictory means stale (RFC 9111 4.2.1). */
const LIFETIMES = { 'max-age': 'maxAge', 's-maxage': 'sMaxage' } as const;
/** Permissions: unreadable is not granted, the smallest of several counts. */
const PERMISSIONS = { 'stale-while-revalidate': 'staleWhileRevalidate', 'stale-if-error': 'staleIfError' } as const;

/**
 * Reads Cache-Control, of a request or a response. Never throws. Names are case-insensitive, values may be tokens or quoted; of several
 * readings the most restrictive one is taken (RFC 9111 5.2, 4.2.1).
 * @example parseCacheControl(['Private="", MAX-AGE="60"']) // { private: true, maxAge: 60 }
 */
export function parseCacheControl(lines: readonly string[]): Directives {
  const found: Directives = {};
  for (const line of lines) {
    const { members, isSound } = splitList(line);
    for (const member of members) readMember(found, member, isSound);
  }
  return found;
}

/** A `;` separates nothing here, but people write it: what it sets apart still restricts, and allows nothing. */
function readMember(found: Directives, member: string, isSound: boolean): void {
  const parts = isSound && member.includes('"') ? [member] : member.split(';');
  for (const part of parts) readDirective(found, part, isSound && parts.length === 1);
}

function readDirective(found: Directives, text: string, isSound: boolean): void {
  const name = NAME.exec(text);
  if (!name) return;
  const rest = text.slice(name.index + name[0].length);
  const argument = rest.startsWith('=') ? rest.slice(1) : rest === '' ? undefined : null;
  apply(found, name[0].toLowerCase(), isSound ? argument : null);
}

/** `argument`: undefined where there is none, null where it cannot be read. */
function apply(found: Directives, name: string, argument: string | undefined | null): void {
  if (Object.hasOwn(FLAGS, name)) {
    const flag = FLAGS[name as keyof typeof FLAGS];
    const restricts = flag !== 'public' && flag !== 'mustUnderstand';
    if (restricts || argument === undefined) found[flag] = true;
  } else if (Object.hasOwn(FIELD_LISTS, name)) {
    const [flag, list] = FIELD_LISTS[name as keyof typeof FIELD_LISTS];
    const names = fieldNames(argument);
    if (names) found[list] = [...(found[list] ?? []), ...names];
    else found[flag] = true;
  } else if (Object.hasOwn(LIFETIMES, name)) {
    const key = LIFETIMES[name as keyof typeof LIFETIMES];
    const seconds = deltaSeconds(argument) ?? 0;
    found[key] = found[key] === undefined || found[key] === seconds ? seconds : 0;
  } else if (Object.hasOwn(PERMISSIONS, name)) {
    const key = PERMISSIONS[name as keyof typeof PERMISSIONS];
    found[key] = Math.min(found[key] ?? MAX_SECONDS, deltaSeconds(argument) ?? 0);
  } else if (name === 'max-stale') {
    const seconds = argument === undefined ? Infinity : (deltaSeconds(argument) ?? 0);
    found.maxStale = Math.min(found.maxStale ?? Infinity, seconds);
  } else if (name === 'min-fresh') {
    found.minFresh = Math.max(found.minFresh ?? 0, deltaSeconds(argument) ?? 0);
  }
}

/** The names of a qualified directive; `undefined` where it counts as unqualified: no names, no quotes, or not all of them names. */
function fieldNames(argument: string | undefined | null): string[] | undefined {
  const quoted = typeof argument === 'string' ? QUOTED.exec(argument) : null;
  const names = quoted?.[1]
    ?.split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
  return names && names.length > 0 && names.every(isFieldName) ? names : undefined;
}

/** Digits, bare or quoted; clamped. `undefined` where unreadable. */
export function deltaSeconds(text: string | undefined | null): number | undefined {
  const digits = text === undefined || text === null ? null : /^(?:(\d+)|"(\d+)")$/.exec(text);
  return digits ? Math.min(Number(digits[1] ?? digits[2]), MAX_SECONDS) : undefined;
}
