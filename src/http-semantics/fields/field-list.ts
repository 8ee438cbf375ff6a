/** A list split at its commas. `isSound` is false where quotes did not add up; then they hid nothing. */
export interface SplitList {
  readonly members: readonly string[];
  readonly isSound: boolean;
}

/** `name="quoted \" string"` up to a comma; what a member may look like when it has quotes in it. */
const SOUND_MEMBER = /^[^"]*(?:"(?:[^"\\]|\\.)*"[ \t]*)?$/s;

/**
 * Splits a field value at commas outside quoted strings.
 * A quote that is never closed, or closed in the middle of a word, would hide what follows it (a `no-store`, say); so in an unsound
 * list quotes are ordinary characters.
 */
export function splitList(text: string): SplitList {
  if (!text.includes('"')) return { members: trimmed(text.split(',')), isSound: true };
  const members: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (isQuoted && char === '\\') i++;
    else if (char === '"') isQuoted = !isQuoted;
    else if (char === ',' && !isQuoted) {
      members.push(text.slice(start, i));
      start = i + 1;
    }
  }
  members.push(text.slice(start));
  return !isQuoted && members.every((member) => SOUND_MEMBER.test(member))
    ? { members: trimmed(members), isSound: true }
    : { members: trimmed(text.split(',')), isSound: false };
}

/** Empty members are no members (RFC 9110 5.6.1.2). */
function trimmed(members: string[]): string[] {
  return members.map((member) => member.trim()).filter((member) => member !== '');
}

/** Lower-case field names of a list such as `Vary` or `Connection`, over all its lines. */
export function nameList(lines: readonly string[]): string[] {
  return [...new Set(lines.flatMap((line) => trimmed(line.split(',')).map((name) => name.toLowerCase())))];
}
