/**
 * One input of a handler. `header:` names are lower-case; `header:*`, `cookie:*`, `query:*` and `param:*` are all of a kind; `request:user`
 * is a property that middleware or a guard has put on the request; `url` is the request target as a whole; `context` is what they have left in
 * AsyncLocalStorages, `no-context` that they have left nothing there.
 */
export type InputName =
  | `header:${string}`
  | `cookie:${string}`
  | `query:${string}`
  | `param:${string}`
  | `request:${string}`
  | 'ip'
  | 'url'
  | 'context'
  | 'no-context';

/** The inputs on which a key depends; a response may depend on these and on no others. */
export interface Covers {
  readonly names: ReadonlySet<InputName>;
  /** Who asks is part of the key. */
  readonly isPrincipal: boolean;
  /** The credentials by which the principal was recognised; empty in the public partition. */
  readonly standsFor: ReadonlySet<InputName>;
}

/** Whether a response that depends on `name` may be stored under the key. */
export function isCovered(name: InputName, { names, standsFor }: Covers): boolean {
  if (names.has(name) || standsFor.has(name)) return true;
  const kind = name.slice(0, name.indexOf(':') + 1);
  return kind !== '' && names.has(`${kind}*` as InputName);
}
