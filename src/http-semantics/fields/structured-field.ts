/** A bare item (RFC 9651 3.3), tagged with its type: a String "1" is not an Integer 1. */
export type BareItem =
  | { readonly type: 'integer' | 'decimal' | 'date'; readonly value: number }
  | { readonly type: 'string' | 'token' | 'bytes' | 'display'; readonly value: string }
  | { readonly type: 'boolean'; readonly value: boolean };

/** A member: an item, or an inner list of items. Parameters are checked and dropped: no field here has any that we use. */
export type Member = BareItem | { readonly type: 'inner-list'; readonly value: readonly BareItem[] };

/** Reads a Structured Dictionary; `undefined` where any part of it is invalid. Later members of one key replace earlier ones. */
export function parseDictionary(lines: readonly string[]): ReadonlyMap<string, Member> | undefined {
  const members = new Map<string, Member>();
  return parseWith(lines, (at) => {
    const key = at.take(KEY)[0];
    const member: Member = at.skip('=') ? readMember(at) : { type: 'boolean', value: true };
    readParameters(at);
    members.delete(key);
    members.set(key, member);
  })
    ? members
    : undefined;
}

/** Reads a Structured List; `undefined` where any part of it is invalid. */
export function parseStructuredList(lines: readonly string[]): readonly Member[] | undefined {
  const members: Member[] = [];
  return parseWith(lines, (at) => {
    members.push(readMember(at));
    readParameters(at);
  })
    ? members
    : undefined;
}

/** Writes a String; what is not ASCII printable cannot be in one and becomes `?`. */
export function structuredString(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, String.raw`\$&`)}"`;
}

/** Writes a Token where the text is one, a String otherwise. */
export function tokenOrString(text: string): string {
  return /^[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*$/.test(text) ? text : structuredString(text);
}

const KEY = /[a-z*][a-z0-9_\-.*]*/y;
const NUMBER = /(-?)(?:(\d{1,12}\.\d{1,3})|(\d{1,15}))(?![\d.])/y;
const STRING = /"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/y;
const TOKEN = /[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*/y;
const BYTES = /:([A-Za-z0-9+/=]*):/y;
const BOOLEAN = /\?([01])/y;
const DATE = /@(-?\d{1,15})(?![\d.])/y;
const DISPLAY = /%"((?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*)"/y;
const OWS = /[ \t]*/y;
const SP = / */y;

class Unreadable extends Error {}

class Cursor {
  private index = 0;
  constructor(private readonly text: string) {}
  get isAtEnd(): boolean {
    return this.index >= this.text.length;
  }
  get next(): string | undefined {
    return this.text[this.index];
  }
  skip(char: string): boolean {
    if (this.next !== char) return false;
    this.index++;
    return true;
  }
  take(pattern: RegExp): RegExpExecArray {
    pattern.lastIndex = this.index;
    const found = pattern.exec(this.text);
    if (!found) throw new Unreadable();
    this.index = pattern.lastIndex;
    return found;
  }
}

function parseWith(lines: readonly string[], readOne: (at: Cursor) => void): boolean {
  const at = new Cursor(lines.join(',').replace(/^ +| +$/g, ''));
  try {
    while (!at.isAtEnd) {
      readOne(at);
      at.take(OWS);
      if (at.isAtEnd) return true;
      if (!at.skip(',')) return false;
      at.take(OWS);
      if (at.isAtEnd) return false;
    }
    return true;
  } catch (error) {
    if (error instanceof Unreadable) return false;
    throw error;
  }
}

function readMember(at: Cursor): Member {
  if (!at.skip('(')) return readItem(at);
  const value: BareItem[] = [];
  for (;;) {
    at.take(SP);
    if (at.skip(')')) return { type: 'inner-list', value };
    value.push(readItem(at));
    readParameters(at);
    if (at.next !== ' ' && at.next !== ')') throw new Unreadable();
  }
}

function readParameters(at: Cursor): void {
  while (at.skip(';')) {
    at.take(SP);
    at.take(KEY);
    if (at.skip('=')) readItem(at);
  }
}

function readItem(at: Cursor): BareItem {
  const next = at.next ?? '';
  if (/[-\d]/.test(next)) {
    const found = at.take(NUMBER);
    return { type: found[2] === undefined ? 'integer' : 'decimal', value: Number(found[0]) };
  }
  if (next === '"') return { type: 'string', value: (at.take(STRING)[1] as string).replace(/\\(.)/g, '$1') };
  if (next === ':') return { type: 'bytes', value: at.take(BYTES)[1] as string };
  if (next === '?') return { type: 'boolean', value: at.take(BOOLEAN)[1] === '1' };
  if (next === '@') return { type: 'date', value: Number(at.take(DATE)[1]) };
  if (next === '%') return { type: 'display', value: at.take(DISPLAY)[1] as string };
  return { type: 'token', value: at.take(TOKEN)[0] };
}
