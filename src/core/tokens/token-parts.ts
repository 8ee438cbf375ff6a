import { hash } from 'node:crypto';
import { STAMP_MARK } from '../../stores/contract/cache-store.js';
import type { Grace } from './epoch.js';

/** The name of the token that says the application's stamp. */
export const APPLICATION_STAMP = 'stamp';
const NAMESPACE = 'ns:';
const TAG = 'tag:';
/** Characters of a digest: 132 bits. */
const DIGEST = 22;

export function namespaceToken(namespace: string): string {
  return NAMESPACE + namespace;
}

/** @param label a tag, as it may stand in a name */
export function tokenOfTag(label: string): string {
  return TAG + label;
}

/** Of these there may be any number. */
export function isTagToken(name: string): boolean {
  return name.startsWith(TAG);
}

/** The name of the token that says a namespace's stamp. */
export function stampToken(namespace: string): string {
  return `${APPLICATION_STAMP}:${namespace}`;
}

/**
 * What the store keeps of a token. That of a namespace is made of three: its own, and what says its stamp and the application's. Entries carry
 * it as one, so that stamps cost no reader anything, and every entry carries one.
 */
export function partsOf(name: string): readonly string[] {
  if (!name.startsWith(NAMESPACE)) return [name];
  return [name, stampToken(name.slice(NAMESPACE.length)), APPLICATION_STAMP];
}

/** A token as entries carry it, and those of before that may still do. */
export interface TokenReading {
  readonly token: string;
  readonly graces: readonly Grace[];
}

const NO_GRACE: readonly Grace[] = [];

/** @param stored the texts of its {@link partsOf}, in order */
export function readingOf(stored: readonly string[]): TokenReading {
  if (stored.length === 1) return { token: stored[0] as string, graces: NO_GRACE };
  let readings: Grace[] = [{ token: '', until: Infinity }];
  for (const part of stored.map(choicesIn)) {
    readings = readings.flatMap(({ token, until }) =>
      part.map((choice) => ({ token: `${token}/${choice.token}`, until: Math.min(until, choice.until) })),
    );
  }
  const [current, ...graces] = readings.map(({ token, until }) => ({ token: digestOf(token), until }));
  return { token: (current as Grace).token, graces };
}

/** The token of now, and that of before its grace has ended. */
function choicesIn(stored: string): Grace[] {
  const [token, , former, until] = stored.split(STAMP_MARK);
  const current = { token: token as string, until: Infinity };
  return former === undefined ? [current] : [current, { token: former, until: Number(until) }];
}

function digestOf(token: string): string {
  return hash('sha256', token, 'base64url').slice(0, DIGEST);
}
