import type { KeyPart } from '../../core/cache.options.js';
import { isInSeveralPlaces } from '../policy/controller-places.js';
import type { Fields } from '../policy/request-view.js';
import { Bypass } from './bypass.js';
import type { KeyComponent } from './key-component.js';
import { changedQuery } from './changed-query.js';
import { partOf, shortText } from './key-text.js';
import { withChanges } from './query.components.js';

const ROUTE: KeyComponent = {
  name: 'route',
  covers: [],
  read({ identity, place }) {
    return place === '' ? identity.key : [identity.key, shortText(place)];
  },
  // It stands for one handler, whose place is one, too, as a rule.
  raw: (view) => (isInSeveralPlaces(view.controller) ? view.place : ''),
};

const ALL_PARAMS: KeyComponent = {
  name: 'params',
  covers: ['param:*'],
  read(view) {
    if (view.kind !== 'http') return partOf(view.payload);
    const params = paramsPart(view.params);
    if (params instanceof Bypass) return params;
    const { path, url, routedUrl } = view;
    // Middleware may have rewritten the path that was routed; a handler can read both.
    return url === routedUrl ? [shortText(path), params] : [shortText(path), params, shortText(url)];
  },
  raw(view) {
    if (view.kind !== 'http') return undefined;
    const { params, path, url, routedUrl } = view;
    let text = `${path.length}:${path}`;
    if (url !== routedUrl) text += `>${url.length}:${url}`;
    for (const name of Object.keys(params)) {
      const value = params[name];
      if (typeof value !== 'string') return undefined;
      text += `${name.length}:${name}${value.length}:${value}`;
    }
    return text;
  },
};

const URL_AS_SENT: KeyComponent = {
  name: 'url',
  covers: ['url', 'param:*', 'query:*'],
  read(view) {
    if (view.kind !== 'http') return ALL_PARAMS.read(view);
    const { url, routedUrl } = view;
    return withChanges(url === routedUrl ? shortText(url) : [shortText(url), shortText(routedUrl)], view);
  },
  raw(view) {
    const { kind, url, routedUrl } = view;
    return kind === 'http' && url === routedUrl && changedQuery(view) === undefined ? url : undefined;
  },
};

/** The handler: its class, method, path, message pattern or GraphQL field, and API versions. Leaving it out shares an entry among handlers. */
export function byRoute(): KeyComponent {
  return ROUTE;
}

/**
 * The request target byte for byte, its query included: `?a&b` and `?b&a` are two pages. For what stands in front of an origin that it does not
 * know; outside HTTP as `byParams()`.
 */
export function byUrl(): KeyComponent {
  return URL_AS_SENT;
}

/**
 * Without names, the path byte for byte as routed, and all route parameters; outside HTTP the arguments or the message. With names, these
 * parameters only: a handler that reads another one is not cached.
 * @example byParams('id') // '/books/7/moby-dick' and '/books/7/whale' share an entry
 */
export function byParams(...names: string[]): KeyComponent {
  if (names.length === 0) return ALL_PARAMS;
  return {
    name: 'params',
    covers: names.map((name) => `param:${name}` as const),
    read: ({ params }) => partOf(names.map((name) => (Object.hasOwn(params, name) ? params[name] : null))),
  };
}

/** Short strings, as good as always. The path stands beside them, so that no form needs to be told from another. */
function paramsPart(params: Fields): KeyPart | Bypass {
  const part: Record<string, string> = {};
  let length = 0;
  for (const name of Object.keys(params)) {
    const value = params[name];
    if (typeof value !== 'string' || name === '__proto__') return partOf({ ...params });
    part[name] = value;
    length += value.length;
  }
  return length <= 256 ? part : partOf(part);
}
