import type { Fields, RequestView } from '../policy/request-view.js';
import { changedQuery } from './changed-query.js';
import type { KeyComponent } from './key-component.js';
import { partOf, shortText } from './key-text.js';
import { sortedQuery } from './query-pairs.js';
import type { KeyPart } from '../../core/cache.options.js';
import { Bypass } from './bypass.js';

export interface ByQueryOptions {
  /** What an absent parameter is taken for, so that `/books` and `/books?page=1` share an entry. The handler sees it, too. */
  readonly defaults?: Readonly<Record<string, string>>;
  /** Parameters that the route declares and the key leaves out on purpose; they never reach the handler. */
  readonly ignore?: readonly string[];
}

const WHOLE_QUERY: KeyComponent = {
  name: 'query',
  covers: ['query:*'],
  read: (view) => withChanges(shortText(sortedQuery(view.search)), view),
  raw: (view) => (changedQuery(view) === undefined ? view.search : undefined),
};

/** What the URL says, and what the handler finds in the parsed query if that is something else. */
export function withChanges(sent: KeyPart, view: RequestView): KeyPart | Bypass {
  const changed = changedQuery(view);
  const part = changed && partOf({ ...changed });
  return part instanceof Bypass || part === undefined ? (part ?? sent) : [sent, part];
}

/**
 * The query: `'*'` takes all of it, its names in any order; a list takes these parameters, and hides all others from the handler while it
 * fills an entry, so that nobody can put into an entry what its key does not say.
 * @example byQuery(['page', 'q'], { defaults: { page: '1' } })
 */
export function byQuery(allow: '*' | readonly string[], options: ByQueryOptions = {}): KeyComponent {
  return allow === '*' ? WHOLE_QUERY : some('query', allow, options);
}

/** The paginator's parameters, as {@link byQuery} takes them. Default `page`, `limit`, `cursor`, `offset`. */
export function byPagination(...names: string[]): KeyComponent {
  return some('pagination', names.length > 0 ? names : ['page', 'limit', 'cursor', 'offset'], {});
}

function some(name: string, allow: readonly string[], { defaults = {}, ignore = [] }: ByQueryOptions): KeyComponent {
  const query = { allow: [...new Set(allow)].sort(), defaults, ignore };
  return {
    name,
    // All of it: what is not allowed is not there to be read.
    covers: ['query:*'],
    query,
    read: (view: RequestView): KeyPart | Bypass =>
      view.kind === 'http' ? partOf(pickQuery(view.query, query.allow, defaults)) : null,
  };
}

/** `allow` of a parsed query, absent ones by `defaults`. What the key is made of, and what the handler sees. */
export function pickQuery(query: Fields, allow: readonly string[], defaults: Readonly<Record<string, string>>): Fields {
  const picked = Object.create(null) as Record<string, unknown>;
  for (const name of allow) {
    if (Object.hasOwn(query, name)) picked[name] = query[name];
    else if (Object.hasOwn(defaults, name)) picked[name] = defaults[name];
  }
  return picked;
}
