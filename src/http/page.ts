import type { Fields } from '../http-semantics/fields/fields.js';
import type { StoredResponse } from '../http-semantics/stored-response.js';
import type { FieldChanges } from './field-changes.js';

/** A response as it went over the wire. */
export interface Page extends FieldChanges {
  readonly kind: 'page';
  readonly stored: StoredResponse;
  /** Its own fields: what middleware and static decorators set is set anew on every request. */
  readonly headers: Fields;
  readonly body: Buffer;
  /** Made where an AsyncLocalStorage was empty: for requests whose `Place.contexts` have this variant. */
  readonly contexts?: string;
  /** Its tags, so that it keeps them when it is confirmed or held over. */
  readonly tags: readonly string[];
}

/** What a page is made of. */
export type PageParts = Omit<Page, 'kind' | 'tags'>;

/** Stands, where names of request fields do, for whether the request comes with contexts. No field is called so. */
export const BY_CONTEXTS = ':contexts';

/** Stands where a page would, when pages under this key differ by request fields: those name the key of the page. */
export interface Fork {
  readonly kind: 'fork';
  /** Lower-case names, sorted; and {@link BY_CONTEXTS}. */
  readonly names: readonly string[];
  /** Digests of the variants stored so far; a flood of made-up values ends here. */
  readonly variants: readonly string[];
}

/** The answer was for one caller only: whoever waited for it asks for his own. Never stored. */
export interface NotShared {
  readonly kind: 'not-shared';
}

/** There is no answer, since the client for whom it was made has left: somebody else has to make it. Never stored. */
export interface Abandoned {
  readonly kind: 'abandoned';
}

/** The handler failed, or broke off: somebody else may try. Never stored. */
export interface Failed {
  readonly kind: 'failed';
  readonly status: number;
  /** Header names and, as one text, their values on which this may have depended, besides the key: who sends others may fare better. */
  readonly names: readonly string[];
  readonly variant: string;
}

export type Held = Page | Fork | NotShared | Abandoned | Failed;

export const NOT_SHARED: NotShared = { kind: 'not-shared' };
export const ABANDONED: Abandoned = { kind: 'abandoned' };

/** The bytes that an answer made from a page asks for. */
export function bodyOf(page: Page, part: 'full' | 'none' | { start: number; end: number }): { body?: Buffer } {
  if (part === 'none') return {};
  return { body: part === 'full' ? page.body : page.body.subarray(part.start, part.end) };
}
