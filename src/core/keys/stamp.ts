import { hash } from 'node:crypto';

/** What decides whether stored data may still be read by this code. */
export interface StampParts {
  /** The application's version, e.g. from its package.json. */
  readonly app?: string | undefined;
  /** Build id or commit: changes with each deploy even where the version does not. */
  readonly build?: string | undefined;
  /** `CACHE_KEY_VERSION_STAMP`: change it to make everything a miss. */
  readonly stamp?: string | undefined;
  /** Of the namespace: the shape of its values. */
  readonly schema?: string | number | undefined;
  /** Of the namespace: anything. */
  readonly own?: string | undefined;
}

/** Ten characters that change with any of the parts. Part of every data key, of no lock key. */
export function makeStamp(parts: StampParts): string {
  const { app = null, build = null, stamp = null, schema = 1, own } = parts;
  const named = [app, build, stamp, String(schema), ...(own === undefined ? [] : [own])];
  return hash('sha256', JSON.stringify(named), 'hex').slice(0, 10);
}
