/** What the scripts publish of their changes: a letter, and the name of an entry or a token; for an update its length, the key, the time and the frame. */
export type Report =
  | { readonly kind: 'entry'; readonly name: string }
  | { readonly kind: 'token'; readonly name: string }
  | { readonly kind: 'update'; readonly name: string; readonly at: number; readonly frame: Buffer };

const [ENTRY, TOKEN, UPDATE] = ['e', 't', 'u'];

export function entryReport(key: string): string {
  return ENTRY + key;
}

export function tokenReport(name: string): string {
  return TOKEN + name;
}

/** The script appends microseconds of the server's time, a colon and the frame. */
export function updateReport(key: string): string {
  return `${UPDATE}${key.length}:${key}`;
}

/** `undefined` for what this version does not know. The frame is a view of the message. */
export function parseReport(message: Buffer): Report | undefined {
  const letter = message.toString('latin1', 0, 1);
  if (letter === ENTRY) return { kind: 'entry', name: message.toString('utf8', 1) };
  if (letter === TOKEN) return { kind: 'token', name: message.toString('utf8', 1) };
  const colon = letter === UPDATE ? message.indexOf(':') : -1;
  if (colon < 0) return undefined;
  const end = colon + 1 + Number(message.toString('latin1', 1, colon));
  const from = message.indexOf(':', end) + 1;
  if (!(from > end)) return undefined;
  const at = Number(message.toString('latin1', end, from - 1)) / 1000;
  return { kind: 'update', name: message.toString('latin1', colon + 1, end), at, frame: message.subarray(from) };
}
