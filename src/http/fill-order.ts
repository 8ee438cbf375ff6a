import type { CacheStatus } from '../http-semantics/fields/cache-status.js';
import type { Fork, PageParts } from './page.js';
import type { Hit, Place } from './page-lookup.js';
import type { HeaderFields } from './wire/index.js';

/** What the handler has read that the key does not tell, and by which its pages can be told apart. */
export interface LearnedInputs {
  /** Names of request fields. */
  readonly vary: readonly string[];
  /** Whether the request came with contexts. */
  readonly isContextual?: true;
}

/** What a fill is to do, and for whom. */
export interface FillOrder {
  readonly place: Place;
  /** Where the page is looked for now; it may turn out to belong elsewhere. */
  readonly key: string;
  readonly fork: Fork | undefined;
  readonly method: string;
  /** To be confirmed by a conditional request, or sent in place of an error. */
  readonly stale: Hit | undefined;
  readonly isConditional: boolean;
  readonly isUsableOnError: boolean;
  /** Why the request goes forward, for Cache-Status. */
  readonly because: CacheStatus['fwd'];
  readonly cacheName: string;
  readonly maxVariants: number;
  /** Entries with a validator are kept this much longer than they may be used, to be confirmed. */
  readonly keepToConfirmMs: number;
  /** Labels of every page at this place. */
  readonly tags: readonly string[];
  readonly tagsOf: (page: Omit<PageParts, 'body'>) => readonly string[];
  /** The header that names the labels to caches in front, if one does. */
  readonly surrogateKeys: string | undefined;
  readonly shouldCache: (page: PageParts) => boolean;
  /** Fields set before the handler ran. */
  readonly baseline: HeaderFields;
  /** Whether the page has to keep those as well. */
  readonly keepsAllFields: boolean;
  /** Whether a header field of the request is as the client has sent it, and as a cache in front has seen it. */
  readonly isAsArrived: (name: string) => boolean;
  /** What was read so far; or why nothing may be kept. */
  readonly reads: () => LearnedInputs | { readonly refuse: string };
}
