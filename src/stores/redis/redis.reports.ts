/**
 * What the scripts publish: a letter, and the name of an entry or a token; for an update the length of the key, the key, the time and the frame.
 * `released`: a lease was given up.
 */
export type Report =
  | { readonly kind: 'entry' | 'token' | 'released'; readonly name: string }
  | { readonly kind: 'update'; readonly name: string; readonly at: number; readonly frame: Buffer };

const [ENTRY, TOKEN, UPDATE, RELEASED, COLON, DOT] = [...Buffer.from('etur:.')] as [
  number,
  number,
  number,
  number,
  number,
  number,
];
const ZERO = 48;

/** Says nothing to anybody; to see whether one may. */
export const NO_REPORT = 'n';

export function entryReport(key: string): string {
  return `e${key}`;
}

export function tokenReport(name: string): string {
  return `t${name}`;
}

export function releaseReport(key: string): string {
  return `r${key}`;
}

/** The script appends the server's time, a colon and the frame. */
export function updateReport(key: string): string {
  return `u${key.length}:${key}`;
}

/** `undefined` for what this version does not know. The frame is a view of the message. */
export function parseReport(message: Buffer): Report | undefined {
  switch (message[0]) {
    case ENTRY:
      return { kind: 'entry', name: message.toString('utf8', 1) };
    case TOKEN:
      return { kind: 'token', name: message.toString('utf8', 1) };
    case RELEASED:
      return { kind: 'released', name: message.toString('utf8', 1) };
    case UPDATE:
      return parseUpdate(message);
    default:
      return undefined;
  }
}

/** Byte by byte: who waits for the news waits for this, and the process has most often just woken up, when every text that is made counts. */
function parseUpdate(message: Buffer): Report | undefined {
  const lengthEnd = digitsEnd(message, 1);
  if (message[lengthEnd] !== COLON) return undefined;
  const nameEnd = lengthEnd + 1 + numberOf(message, 1, lengthEnd);
  const secondsEnd = digitsEnd(message, nameEnd);
  const microsEnd = digitsEnd(message, secondsEnd + 1);
  if (message[secondsEnd] !== DOT || message[microsEnd] !== COLON) return undefined;
  return {
    kind: 'update',
    name: message.toString('latin1', lengthEnd + 1, nameEnd),
    at: numberOf(message, nameEnd, secondsEnd) * 1000 + numberOf(message, secondsEnd + 1, microsEnd) / 1000,
    frame: message.subarray(microsEnd + 1),
  };
}

function digitsEnd(bytes: Buffer, from: number): number {
  let at = from;
  for (let digit = 0; digit >= 0 && digit <= 9; at++) digit = (bytes[at] ?? 0) - ZERO;
  return at - 1;
}

function numberOf(bytes: Buffer, from: number, end: number): number {
  let number = 0;
  for (let at = from; at < end; at++) number = 10 * number + (bytes[at] as number) - ZERO;
  return number;
}
